"""Phantoms, experiments and analyses that a scenario defines by name and refers to, instead of stating them twice.

`analysis: CuAu` stands for the mapping under `analyses: {CuAu: {...}}`, and `analysis: {use: CuAu, threshold: 0.2}` for that
mapping with a key changed; `phantom` refers to `phantoms` likewise, and the `experiment` of a reconstructor to `experiments`.
References are written out once, after scale and overrides: what follows knows plain sections only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchsuite.errors import Problem, choices
from benchsuite.measured.settings import NO_PHANTOM
from benchsuite.scenario.positions import Document, KeyPath

DEFINITIONS = {"phantom": "phantoms", "experiment": "experiments", "analysis": "analyses"}
USE, EXPERIMENT, EXPERIMENTS = "use", "experiment", "experiments"


def as_reference(value: Any) -> Any:
    """Return a name as {use: name}; anything else unchanged."""
    return {USE: value} if isinstance(value, str) and value != NO_PHANTOM else value


def check_definitions(document: Document, problems: list[Problem]) -> None:
    """Add a problem for every definition that nothing in the file refers to, at any scale."""
    for section, plural in DEFINITIONS.items():
        referred = set(_references(document.value, section))
        for name in _defined(document, section):
            path: KeyPath = (plural, name)
            if name not in referred:
                problems.append(document.problem(path, f"is not used: no {section} refers to it"))
            if "." in name or name == NO_PHANTOM:
                problems.append(document.problem(path, f"a name has no dot and is not {NO_PHANTOM}"))


def write_out(document: Document, problems: list[Problem]) -> None:
    """Put definitions in the places of all references to them. Adds a problem for every name that is not defined."""
    raw = document.value
    made = {**raw, "sweep": _written_sweep(document, problems)} if isinstance(raw.get("sweep"), list) else dict(raw)
    for section in ("phantom", "analysis"):
        if section in raw:
            made[section] = _written(document, section, raw[section], (section,), problems)
    for number, entry in enumerate(raw["reconstructors"] if isinstance(raw["reconstructors"], list) else ()):
        if isinstance(entry, dict) and EXPERIMENT in entry:
            path: KeyPath = ("reconstructors", number, EXPERIMENT)
            made["reconstructors"] = list(made["reconstructors"])
            made["reconstructors"][number] = {
                **entry,
                EXPERIMENT: _written(document, EXPERIMENT, entry[EXPERIMENT], path, problems),
            }
    document.value = made


def _written(document: Document, section: str, value: Any, path: KeyPath, problems: list[Problem]) -> Any:
    """Return what a section at a path stands for, and note where its keys are written."""
    name, changes = _reference(value)
    if name is not None:
        found = _definition(document, section, name, path, problems)
        inside = _below(document, (DEFINITIONS[section], name))
        document.places = {(*path, *rest): where for rest, where in inside.items() if rest} | document.places
        if section == EXPERIMENT:
            value = {key: one for key, one in found.items() if key not in changes} | changes
        else:
            value = _merged(({"label": name} if section == "phantom" else {}) | found, changes)
    if section == EXPERIMENT and isinstance(value, dict) and "analysis" in value:
        value = {**value, "analysis": _written(document, "analysis", value["analysis"], (*path, "analysis"), problems)}
    return value


def _written_sweep(document: Document, problems: list[Problem]) -> list[Any]:
    """Return the sweep with swept sections written out, and `experiments.NAME.KEY` as that key of all who use the experiment."""
    made, places = list[Any](), dict[KeyPath, str]()
    for number, entry in enumerate(document.value["sweep"]):
        path: KeyPath = ("sweep", number)
        zipped = isinstance(entry, dict) and set(entry) == {"zip"} and isinstance(entry["zip"], dict)
        if zipped:
            groups, path = [entry["zip"]], (*path, "zip")
        else:
            groups = [{key: values} for key, values in entry.items()] if isinstance(entry, dict) else [entry]
        for group in groups:
            places[("sweep", len(made))] = document.place(path)
            if not isinstance(group, dict):
                made.append(group)
                continue
            sources = {name: (*path, key) for key in group for name in _targets(document, key, (*path, key), problems)}
            steps = {name: _swept(document, group[str(at[-1])], at, problems) for name, at in sources.items()}
            if group and not steps:
                continue  # every key of it is a problem
            inner: KeyPath = ("zip",) if zipped or len(steps) > 1 else ()
            for name, at in sources.items():
                places |= {("sweep", len(made), *inner, name, *rest): where for rest, where in _below(document, at).items()}
            made.append({"zip": steps} if inner else steps)
    outside = {path: where for path, where in document.places.items() if path[:1] != ("sweep",) or len(path) == 1}
    document.places = outside | places
    return made


def _targets(document: Document, key: str, path: KeyPath, problems: list[Problem]) -> list[str]:
    """Return the keys that a swept key stands for. Adds a problem where there are none."""
    (root, _, rest), targets = key.partition("."), [key]
    name, _, changed = rest.partition(".")
    if root == EXPERIMENTS:
        _definition(document, EXPERIMENT, name, path, problems)
        targets = []
        for entry in document.value["reconstructors"] if isinstance(document.value["reconstructors"], list) else ():
            used, changes = _reference(entry.get(EXPERIMENT)) if isinstance(entry, dict) else (None, {})
            if used == name and changed not in changes:
                targets.append(f"reconstructors.{entry['label']}.{EXPERIMENT}.{changed}")
    elif root in DEFINITIONS.values():
        targets = []
    if not targets:
        message = (
            "no reconstructor takes it from there" if root == EXPERIMENTS else "a definition is not swept; sweep what refers to it"
        )
        problems.append(document.problem(path, message))
    return targets


def _swept(document: Document, values: Any, path: KeyPath, problems: list[Problem]) -> Any:
    section = str(path[-1]).split(".")[-1]
    if section not in DEFINITIONS or not isinstance(values, list):
        return values
    return [_written(document, section, value, (*path, number), problems) for number, value in enumerate(values)]


def _reference(value: Any) -> tuple[str | None, dict[str, Any]]:
    """Return the name to which a section refers, and its changes; None and nothing where it states its keys itself."""
    value = as_reference(value)
    if not (isinstance(value, dict) and isinstance(value.get(USE), str)):
        return None, {}
    return value[USE], {key: one for key, one in value.items() if key != USE}


def _definition(document: Document, section: str, name: str, path: KeyPath, problems: list[Problem]) -> dict[str, Any]:
    """Return the mapping of that name. Adds a problem where there is none, and goes on with another one, whose keys are right."""
    defined = _defined(document, section)
    if name in defined:
        return defined[name]
    allowed = [*defined, NO_PHANTOM] if section == "phantom" else defined
    message = f"{name!r} is not defined in {DEFINITIONS[section]}; {choices(name, allowed)}"
    problems.append(document.problem(path, message))
    return next(iter(defined.values()), {})


def _defined(document: Document, section: str) -> dict[str, dict[str, Any]]:
    raw = document.value.get(DEFINITIONS[section])
    return {name: value for name, value in raw.items() if isinstance(value, dict)} if isinstance(raw, dict) else {}


def _below(document: Document, path: KeyPath) -> dict[KeyPath, str]:
    return {place[len(path) :]: where for place, where in document.places.items() if place[: len(path)] == path}


def _references(value: Any, section: str) -> Iterator[str]:
    """Yield the names by which values under a key `section`, alone or in the list of a sweep, refer to definitions."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "published":
                continue
            if key.split(".")[-1] == section:
                for one in inner if isinstance(inner, list) else [inner]:
                    name, _ = _reference(one)
                    yield from () if name is None else (name,)
            yield from _references(inner, section)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner, section)


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with changes, which reach into mappings inside."""
    both = [key for key, value in changes.items() if isinstance(value, dict) and isinstance(base.get(key), dict)]
    return {**base, **changes, **{key: _merged(base[key], changes[key]) for key in both}}
