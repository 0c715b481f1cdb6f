"""Sweeps: products of lists and of lists that advance together, applied to the raw mapping."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from benchsuite.errors import Problem, choices
from benchsuite.registry import default_label
from benchsuite.scenario.named import DEFINITIONS, EXPERIMENT, as_reference
from benchsuite.scenario.positions import Document, KeyPath

MAX_CELLS = 10_000
PREPROCESS = "preprocess"  # the preprocessing steps of a reconstructor
REFINE, FROM = "refine", "from"  # the keys that name the reconstruction whose atoms a reconstructor refines
SWEEP = "sweep"

Axis = list[dict[str, Any]]  # the settings of one sweep entry, one mapping of dotted keys per step


def normalised_reconstructors(raw: Any) -> Any:
    """Return every entry as {use, label, **params}: `resire`, `resire: {...}` and `{use: resire, ...}` are the same.

    So are `refine: {use: lot, from: resire}` and `{use: lot, from: resire}`; `from` becomes the label of an entry above.
    The steps of `preprocess` are read alike, as {use, **params}.
    """
    if not isinstance(raw, list):
        return raw
    entries: list[Any] = []
    for item in raw:
        if isinstance(item, dict) and set(item) == {REFINE} and isinstance(item[REFINE], dict):
            item = {FROM: None, **item[REFINE]}
        item = named(item)
        if isinstance(item, dict) and isinstance(item.get(EXPERIMENT), str):
            item = {**item, EXPERIMENT: as_reference(item[EXPERIMENT])}
        if isinstance(item, dict) and isinstance(item.get(PREPROCESS), list):
            item = {**item, PREPROCESS: [named(step) for step in item[PREPROCESS]]}
        if isinstance(item, dict) and isinstance(item.get("use"), str):
            label = default_label(item["use"])
            if isinstance(item.get(FROM), str):
                with suppress(KeyError):
                    item = {**item, FROM: entries[entry_of(entries, item[FROM])]["label"]}
                label = f"{item[FROM]} + {label}"
            item = {"use": item["use"], "label": label, **item}
        entries.append(item)
    return entries


def named(item: Any) -> Any:
    """Return `name`, `name: {...}` and {use: name, ...} as the last of these; anything else unchanged."""
    if isinstance(item, str):
        return {"use": item}
    if isinstance(item, dict) and "use" not in item and len(item) == 1:
        ((name, params),) = item.items()
        plain = isinstance(params, dict) and "use" not in params
        return {"use": name, **(params or {})} if plain or params is None else item
    return item


def axes(raw: Any, document: Document, problems: list[Problem]) -> list[Axis]:
    """Return the steps of every sweep entry. Adds a problem for every entry that is not a list of values."""
    result: list[Axis] = []
    for number, entry in enumerate(raw if isinstance(raw, list) else []):
        if not isinstance(entry, dict) or not entry:
            continue  # the schema reports it
        zipped = entry.get("zip") if set(entry) == {"zip"} else None
        groups = [zipped] if isinstance(zipped, dict) else [{key: values} for key, values in entry.items()]
        for group in groups:
            path: KeyPath = ("sweep", number, *(("zip",) if zipped else ()))
            lengths = {key: len(values) if isinstance(values, list) else -1 for key, values in group.items()}
            bad = [key for key, length in lengths.items() if length < 1]
            for key in bad:
                message = f"{group[key]!r} must be a list with at least one value, such as [{group[key]!r}]"
                problems.append(Problem(document.place((*path, key)), f"sweep.{key}", message))
            if not group:
                problems.append(Problem(document.place(path), "sweep.zip", "must have at least one key"))
            elif not bad and len(set(lengths.values())) > 1:
                shown = ", ".join(f"{key}: {length}" for key, length in lengths.items())
                problems.append(Problem(document.place(path), "sweep.zip", f"lists of unequal length ({shown})"))
            elif twice := [key for key in group if any(key in axis[0] for axis in result)]:
                problems.append(Problem(document.place((*path, twice[0])), f"sweep.{twice[0]}", "is swept twice"))
            elif not bad:
                steps = next(iter(lengths.values()))
                result.append([{key: values[i] for key, values in group.items()} for i in range(steps)])
    return result


def combinations(sweep: Sequence[Axis]) -> Iterator[dict[str, Any]]:
    """Yield the settings of every combination, the last axis fastest."""
    for steps in itertools.product(*sweep):
        yield {key: value for step in steps for key, value in step.items()}


def table_keys(sweep: Sequence[Axis]) -> tuple[str, ...]:
    """Return the swept keys that get a column: all but what advances together with something that names it.

    That is, mappings without a name, and settings of one reconstructor.
    """
    keys: list[str] = []
    for axis in sweep:
        named = [key for key in axis[0] if not (_of_one_method(key) or all(_unnamed(step[key]) for step in axis))]
        keys += named or list(axis[0])
    return tuple(dict.fromkeys(keys))


def _of_one_method(key: str) -> bool:
    return key.startswith("reconstructors.")


def _unnamed(value: Any) -> bool:
    return isinstance(value, Mapping) and not (value.get("label") or value.get("kind"))


def shown(value: Any) -> Any:
    """Return what a table shows of a swept value: scalars as they are, a phantom by its label or kind, else JSON."""
    if isinstance(value, Mapping):
        in_files = "file" in value or "files" in value  # whose kind is no name
        return (
            value.get("label") or value.get("use") or (None if in_files else value.get("kind")) or json.dumps(value, sort_keys=True)
        )
    return json.dumps(value) if isinstance(value, list) else value


def with_setting(raw: Any, key: str, value: Any) -> tuple[Any, KeyPath]:
    """Return a copy of the raw mapping with a dotted key set, and the key's path. Missing mappings on the way are made.

    `reconstructors.LABEL.param` and `reconstructors.0.param` address one entry of that list; what follows its `experiment`, or
    `experiments.NAME`, is one key there. `sweep.KEY` addresses the values of a swept key. Raises KeyError with a message where
    the path leads through something that is not a mapping, or to a definition that does not exist.
    """
    parts = key.split(".")
    if parts[0] == SWEEP and len(parts) > 1:
        sweep, path = _with_swept(raw.get(SWEEP), ".".join(parts[1:]), value)
        return {**raw, SWEEP: sweep}, path
    nested = len(parts)  # how many parts lead through mappings; the rest is one key
    if parts[0] == "reconstructors" and EXPERIMENT in parts[2:-1]:
        nested = parts.index(EXPERIMENT, 2) + 1
    elif parts[0] in DEFINITIONS.values() and len(parts) > 1:
        defined = raw[parts[0]] if isinstance(raw.get(parts[0]), dict) else {}
        if parts[1] not in defined:
            raise KeyError(f"{parts[1]!r} is not defined in {parts[0]}; {choices(parts[1], defined)}")
        nested = 2 if parts[0] == DEFINITIONS[EXPERIMENT] else nested
    parts = parts[:nested] + ([".".join(parts[nested:])] if parts[nested:] else [])
    return _with_part(raw, parts, 0, value)


def _with_part(node: Any, parts: Sequence[str], depth: int, value: Any) -> tuple[Any, KeyPath]:
    if depth == len(parts):
        return copy.deepcopy(value), ()
    if not isinstance(node, (dict, list)):
        raise KeyError(f"{'.'.join(parts[:depth])} is {node!r}, which has no keys")
    if isinstance(node, list):
        number = entry_of(node, parts[depth])
        inner, path = _with_part(node[number], parts, depth + 1, value)
        return [*node[:number], inner, *node[number + 1 :]], (number, *path)
    inner, path = _with_part(node.get(parts[depth], {}), parts, depth + 1, value)
    return {**node, parts[depth]: inner}, (parts[depth], *path)


def _with_swept(sweep: Any, key: str, values: Any) -> tuple[Any, KeyPath]:
    """Return a sweep with other values of a key, which takes a sweep entry of its own where it had none, and the key's path."""
    entries = list(sweep) if isinstance(sweep, list) else []
    for number, entry in enumerate(entries):
        inner = entry.get("zip") if isinstance(entry, dict) else None
        if isinstance(inner, dict) and key in inner:
            entries[number] = {**entry, "zip": {**inner, key: copy.deepcopy(values)}}
            return entries, (SWEEP, number, "zip", key)
        if isinstance(entry, dict) and key in entry:
            entries[number] = {**entry, key: copy.deepcopy(values)}
            return entries, (SWEEP, number, key)
    return [*entries, {key: copy.deepcopy(values)}], (SWEEP, len(entries), key)


def entry_of(items: Sequence[Any], part: str) -> int:
    """Return the place of the entry that a number, a label or a name means. Raises KeyError where there is none."""
    if part.isdigit() and int(part) < len(items):
        return int(part)
    labels = [item.get("label", item.get("use")) if isinstance(item, dict) else item for item in items]
    uses = [item.get("use") if isinstance(item, dict) else item for item in items]
    for names, name in ((labels, part), ([str(label).lower() for label in labels], part.lower()), (uses, part)):
        if name in names:
            return names.index(name)
    raise KeyError(f"{part!r} is none of {labels}")
