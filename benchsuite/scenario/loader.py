"""From a file (or a library name), a scale and overrides to validated cells, or to every problem there is."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchsuite import microscope, registry
from benchsuite.contract.settings import Simulation
from benchsuite.errors import BenchsuiteError, Problem, ScenarioError, choices
from benchsuite.phantoms.substrate import Substrate
from benchsuite.scenario import expand, library, named
from benchsuite.scenario.cells import SECTIONS, Cell, Experiment, PhantomSpec, ReconstructorSpec
from benchsuite.scenario.measured_sections import absolute, check_combination, is_measured, measured_sections
from benchsuite.scenario.metrics import check_metrics, columns_of, normalised_analysis
from benchsuite.scenario.positions import Document, KeyPath, dotted, parse, read_document
from benchsuite.scenario.schema import Scenario
from benchsuite.scenario.steps import preprocessed_by
from benchsuite.scenario.validation import NAMED, registered, validate

EXPERIMENT_SECTIONS = ("acquisition", "microscope", "simulation", "series", "grid", "analysis", "limits")


@dataclass(frozen=True)
class Loaded:
    """A scenario that is ready to run. `resolved` is the plain mapping after scale and overrides; loading it again gives the
    same cells."""

    scenario: Scenario
    source: str
    scale: str
    resolved: Mapping[str, Any]
    cells: tuple[Cell, ...]
    sweep_keys: tuple[str, ...]

    def only(self, labels: Sequence[str]) -> Loaded:
        """Return the cells of the reconstructors with these labels; all cells where none is given. Raises BenchsuiteError."""
        known = {cell.reconstructor.label for cell in self.cells}
        for label in labels:
            if label not in known:
                raise BenchsuiteError(f"only {label}: no reconstructor has this label; {choices(label, known)}")
        return replace(self, cells=tuple(cell for cell in self.cells if not labels or cell.reconstructor.label in labels))


def load(source: str | Path, scale: str = "desk", overrides: Sequence[str] = ()) -> Loaded:
    """Load a scenario. Raises ScenarioError with every problem found."""
    document = read_document(library.resolve(source))
    if not isinstance(document.value, dict):
        raise ScenarioError([Problem(document.place(()), "", "must be a mapping of keys at the top level")])
    problems: list[Problem] = []
    named.check_definitions(document, problems)
    _normalise(document)
    _apply_scale(document, scale, problems)
    for override in overrides:
        _apply_override(document, override, problems)
    named.write_out(document, problems)
    _normalise(document)
    absolute(document)
    check_combination(document, problems)
    return _build(document, scale, problems)


def _apply_scale(document: Document, scale: str, problems: list[Problem]) -> None:
    scales = document.value.get("scales")
    defined = scales if isinstance(scales, dict) else {}
    if scale not in defined and scale != "desk":
        problems.append(
            Problem(document.place(("scales",)), "--scale", f"no scale {scale!r}; {choices(scale, {*defined, 'desk'})}")
        )
    settings = defined.get(scale)
    for key, value in (settings if isinstance(settings, dict) else {}).items():
        _set(document, key, value, document.place(("scales", scale, key)), problems)


def _apply_override(document: Document, override: str, problems: list[Problem]) -> None:
    key, equals, text = override.partition("=")
    place = f"--set {override}"
    if not (key and equals):
        problems.append(Problem(place, "", "must be KEY=VALUE"))
        return
    try:
        value = parse(text, place).value if text.strip() not in ("", "null", "~") else None
    except ScenarioError as error:
        problems.extend(error.problems)
        return
    sweep = document.value.get("sweep")
    if isinstance(sweep, list):
        document.value = {**document.value, "sweep": [kept for entry in sweep if (kept := _without(entry, key))]}
    _set(document, key, value, place, problems)


def _without(entry: Any, key: str) -> Any:
    if not isinstance(entry, dict):
        return entry
    if isinstance(entry.get("zip"), dict):
        rest = {name: values for name, values in entry["zip"].items() if name != key}
        return {"zip": rest} if rest else None
    return {name: values for name, values in entry.items() if name != key}


def _set(document: Document, key: str, value: Any, place: str, problems: list[Problem]) -> KeyPath:
    try:
        document.value, path = expand.with_setting(document.value, key, value)
    except KeyError as error:
        problems.append(Problem(place, key, str(error.args[0])))
        return ()
    _normalise(document)
    document.places = {old: where for old, where in document.places.items() if old[: len(path)] != path}
    document.places[path] = place
    return path


def _normalise(document: Document) -> None:
    """Spell sections in one way: references as {use: name}, entries of lists as {use, label, ...}."""
    raw = document.value
    document.value = {**raw, "reconstructors": expand.normalised_reconstructors(raw.get("reconstructors"))}
    if "analysis" in raw:
        document.value["analysis"] = normalised_analysis(named.as_reference(raw["analysis"]))
    if "phantom" in raw:
        document.value["phantom"] = named.as_reference(raw["phantom"])


def _build(document: Document, scale: str, problems: list[Problem]) -> Loaded:
    raw = document.value
    scenario = validate(Scenario, raw, document, (), problems)
    sweep = expand.axes(raw.get("sweep"), document, problems)
    keys = expand.table_keys(sweep)
    cells: list[Cell] = []
    repeats = scenario.repeats if scenario else 1
    size = repeats * len(raw["reconstructors"] or ()) if isinstance(raw["reconstructors"], list) else 1
    for axis in sweep:
        size *= len(axis)
    if size > expand.MAX_CELLS:
        message = f"{size:,} cells; at most {expand.MAX_CELLS:,} are allowed"
        raise ScenarioError([*problems, document.problem(("sweep",), message)])
    seen: set[tuple[Any, ...]] = set()
    for settings in expand.combinations(sweep):
        variant = Document(raw, document.source, dict(document.places))
        for key, value in settings.items():
            _set(variant, key, value, document.place(_sweep_path(raw, key)), problems)
        absolute(variant)
        experiment, specs = _sections(variant, scenario, problems)
        changed = [_experiment_of_entry(variant, number, scenario, problems) for number in range(len(specs))]
        if experiment is None or problems:
            continue
        for repeat, (position, spec) in itertools.product(range(repeats), enumerate(specs)):
            chain = _chain(variant.value["reconstructors"], position)
            swept = {
                key: expand.shown(settings[key]) if any(_concerns(raw, key, place) for place in chain) else None for key in keys
            }
            identity = (spec.label, repeat, *swept.values())
            if identity not in seen:
                seen.add(identity)
                cell = None
                for place in reversed(chain):
                    cell = Cell(
                        id=f"{len(cells):04d}",
                        swept=swept,
                        repeat=repeat,
                        experiment=changed[place] or experiment,
                        reconstructor=specs[place],
                        initial=cell,
                    )
                assert cell is not None
                cells.append(cell)
    _check_published(scenario, keys, document, problems)
    try:
        columns_of(cell.experiment.analysis for cell in cells)
    except BenchsuiteError as error:
        problems.append(document.problem(("analysis", "metrics"), str(error)))
    if problems or scenario is None:
        raise ScenarioError(_unique(problems))
    resolved = {key: value for key, value in raw.items() if key not in ("scales", *named.DEFINITIONS.values())}
    return Loaded(scenario, document.source, scale, resolved, tuple(cells), keys)


def _sections(
    document: Document, scenario: Scenario | None, problems: list[Problem]
) -> tuple[Experiment | None, list[ReconstructorSpec]]:
    """Validate the sections of one combination, with phantom and reconstructors against their own classes."""
    raw = document.value
    before = len(problems)
    unknown = [key for key in raw if key not in {f.alias or n for n, f in Scenario.model_fields.items()}]
    if scenario is None or unknown:
        # the whole is reported by the schema; what is swept beyond it is not
        validate(Scenario, raw, document, (), problems)
    sections: dict[str, Any] = {}
    described, measured = measured_sections(document, problems) if is_measured(raw) else (raw, None)
    for name, model in SECTIONS.items():
        sections[name] = validate(model, described.get(name, {}), document, (name,), problems)
    phantom = _phantom(document, problems)
    specs = _reconstructors(document, problems)
    _check_elements(document, sections, problems)
    check_metrics(document, problems)
    engine = sections["simulation"] and not is_measured(raw) and _engine(document, sections["simulation"], problems)
    if engine and sections["microscope"] and sections["acquisition"]:
        for message in microscope.check_physics(sections["microscope"], sections["simulation"], sections["acquisition"]):
            key, _, text = message.partition(": ")
            problems.append(document.problem(tuple(key.split(".")), text))
    if len(problems) > before or (phantom is None and measured is None) or scenario is None:
        return None, specs
    return Experiment(seed=scenario.seed, redraw=scenario.redraw, phantom=phantom, **sections, measured=measured), specs


def _experiment_of_entry(document: Document, number: int, scenario: Scenario | None, problems: list[Problem]) -> Experiment | None:
    """Return the experiment of a reconstructor with changes (`experiment: {key: value}`), or None."""
    entry, path = document.value["reconstructors"][number], ("reconstructors", number, expand.EXPERIMENT)
    settings = entry.get(expand.EXPERIMENT) if isinstance(entry, dict) else None
    if settings is None:
        return None
    if not isinstance(settings, dict):
        message = "must be a name, or a mapping of keys such as microscope.defocus_A to values"
        problems.append(document.problem(path, message))
        return None
    variant = Document(document.value, document.source, dict(document.places))
    for key, value in settings.items():
        place = document.place((*path, key))
        if str(key).split(".")[0] not in EXPERIMENT_SECTIONS:
            problems.append(
                Problem(
                    place, f"{dotted(path)}.{key}", f"is not a section of an experiment; {choices(str(key), EXPERIMENT_SECTIONS)}"
                )
            )
            return None
        _set(variant, key, value, place, problems)
    absolute(variant)
    return _sections(variant, scenario, problems)[0]


def _phantom(document: Document, problems: list[Problem]) -> PhantomSpec | None:
    raw = document.value.get("phantom")
    if not isinstance(raw, dict):
        return None  # the schema reports it
    kind = raw.get("kind")
    if not isinstance(kind, str):
        message = f"must name a phantom; {choices('', registry.names('phantom'))}"
        problems.append(document.problem(("phantom", "kind"), message))
        return None
    try:
        model = registry.phantom(kind).Params
    except BenchsuiteError as error:
        problems.append(document.problem(("phantom", "kind"), str(error)))
        return None
    given = {key: value for key, value in raw.items() if key not in ("kind", "label", "substrate")}
    params = validate(model, given, document, ("phantom",), problems)
    under, substrate = raw.get("substrate"), None
    if under is not None:
        substrate = validate(Substrate, under, document, ("phantom", "substrate"), problems)
        if substrate is None:
            return None
    if params is None:
        return None
    return PhantomSpec(name=kind, params=params, label=str(raw.get("label", kind)), substrate=substrate)


def _engine(document: Document, simulation: Simulation, problems: list[Problem]) -> bool:
    """Whether the engine of a simulation exists and accepts its parameters; adds a problem where not."""
    try:
        model = registry.simulator(simulation.engine).Params
    except BenchsuiteError as error:
        problems.append(document.problem(("simulation", "engine"), str(error)))
        return False
    return validate(model, simulation.params, document, ("simulation", "params"), problems) is not None


def _reconstructors(document: Document, problems: list[Problem]) -> list[ReconstructorSpec]:
    raw, specs = document.value["reconstructors"], list[ReconstructorSpec]()
    if not isinstance(raw, list) or not raw:
        if raw is not None:
            problems.append(document.problem(("reconstructors",), "must be a list with at least one name"))
        return specs
    for number, entry in enumerate(raw):
        path: KeyPath = ("reconstructors", number)
        refining = isinstance(entry, dict) and expand.REFINE in entry
        form = "refine: {use: ..., from: ...}" if refining else NAMED
        if (cls := registered("reconstructor", entry, document, path, problems, form)) is None:
            continue
        label = str(entry["label"])
        if label in [spec.label for spec in specs]:
            problems.append(document.problem(path, f"label {label!r} is used twice; labels must differ"))
        reserved = ("use", "label", expand.EXPERIMENT, expand.FROM, expand.PREPROCESS)
        given = {key: value for key, value in entry.items() if key not in reserved}
        params = validate(cls.Params, given, document, path, problems)
        steps = preprocessed_by(entry, document, path, problems)
        if expand.FROM in entry:
            _check_refinement(entry, raw[:number], document, (*path, expand.FROM), problems)
        if params is not None:
            specs.append(ReconstructorSpec(name=entry["use"], params=params, label=label, preprocess=steps))
    return specs


def _check_refinement(
    entry: Mapping[str, Any], above: Sequence[Any], document: Document, path: KeyPath, problems: list[Problem]
) -> None:
    if not registry.reconstructor(entry["use"]).refines:
        problems.append(document.problem(path, f"{entry['use']} cannot refine another reconstruction"))
    if _refined_by(entry, above) is None:
        labels = [str(item["label"]) for item in above if isinstance(item, dict) and "label" in item]
        message = f"{entry[expand.FROM]!r} is not the label of an entry above; {choices(str(entry[expand.FROM]), labels)}"
        problems.append(document.problem(path, message))


def _refined_by(entry: Mapping[str, Any], above: Sequence[Any]) -> int | None:
    """Return the position of the entry whose atoms this one refines; None if it refines none, or there is no such entry."""
    try:
        return expand.entry_of(above, str(entry[expand.FROM])) if entry.get(expand.FROM) is not None else None
    except KeyError:
        return None


def _chain(entries: Sequence[Mapping[str, Any]], position: int) -> list[int]:
    """Return the positions of a reconstructor, of the reconstruction that it refines, and so on."""
    chain = [position]
    while (refined := _refined_by(entries[chain[-1]], entries[: chain[-1]])) is not None:
        chain.append(refined)
    return chain


def _check_elements(document: Document, sections: Mapping[str, Any], problems: list[Problem]) -> None:
    from ase.data import chemical_symbols

    symbols = set(chemical_symbols[1:])
    named: list[tuple[KeyPath, str]] = []
    if sections["analysis"]:
        named += [(("analysis", "species", i), symbol) for i, symbol in enumerate(sections["analysis"].species)]
    phonons = sections["acquisition"].frozen_phonons if sections["acquisition"] else None
    if phonons:
        named += [(("acquisition", "frozen_phonons", "rms_A", symbol), symbol) for symbol in phonons.rms_A]
    for path, symbol in named:
        if symbol not in symbols:
            problems.append(document.problem(path, f"{symbol!r} is not a chemical element"))


def _check_published(scenario: Scenario | None, keys: Sequence[str], document: Document, problems: list[Problem]) -> None:
    allowed = {*keys, "reconstructor"}
    for number, row in enumerate(scenario.published if scenario else ()):
        for key in row.where:
            if key not in allowed:
                path: KeyPath = ("published", number, "where", key)
                problems.append(document.problem(path, f"is not swept; {choices(key, allowed)}"))


def _sweep_path(raw: Any, key: str) -> KeyPath:
    for number, entry in enumerate(raw.get("sweep") or ()):
        if isinstance(entry, dict) and key in entry:
            return ("sweep", number, key)
        if isinstance(entry, dict) and isinstance(entry.get("zip"), dict) and key in entry["zip"]:
            return ("sweep", number, "zip", key)
    return ("sweep",)


def _concerns(raw: Any, key: str, position: int) -> bool:
    """Whether a swept key bears on the reconstructor at this position: not if it is another's, or if this one has its own value."""
    if not key.startswith("reconstructors."):
        entry = raw["reconstructors"][position]
        return key not in (entry.get(expand.EXPERIMENT) or {})
    _, path = expand.with_setting({"reconstructors": raw["reconstructors"]}, key, None)
    return path[1] == position


def _unique(problems: Sequence[Problem]) -> list[Problem]:
    return list(dict.fromkeys(problems))
