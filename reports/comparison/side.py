"""One side of a comparison: the cells of a run, or of an accepted baseline, with what pairs them and what is compared."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchsuite.columns import Columns
from benchsuite.errors import BenchsuiteError
from benchsuite.results import COSTS, LEADING, SETTING, Run

NOT_SCORES = {column.name for column in (*LEADING, *SETTING)}
NOT_DATA = {"schema", "name", "title", "description", "repeats", "reconstructors", "analysis", "limits", "sweep", "figures",
    "scales", "published"}  # fmt: skip
MACHINE = ("processor", "cores", "gpu", "python", "libraries")


@dataclass(frozen=True)
class CellFacts:
    """One cell. experiment: hash of the settings that decide its data, without swept scalars. series: the store key of its series,
    empty where it has none. content: hash of the bytes of that series, empty where they are not at hand. scores: finite numbers by
    column.
    """

    method: str
    swept: Mapping[str, Any]
    repeat: int
    seed: int
    device: str
    status: str
    reason: str
    experiment: str
    series: str
    content: str
    scores: Mapping[str, float]

    @property
    def identity(self) -> tuple[str, str, int]:
        """What the same cell of another run has in common with this one."""
        return (self.method, condition_text(self.swept), self.repeat)


@dataclass(frozen=True)
class Side:
    """A run or a baseline. settings: every setting by dotted key, empty where they are not known.

    machine: what times depend on, by name; empty where it was not written down. columns: what the scores are.
    """

    name: str
    scenario: str
    scale: str
    cells: tuple[CellFacts, ...]
    machine: Mapping[str, str]
    settings: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    columns: Columns = field(default_factory=lambda: Columns(COSTS))

    @property
    def scores(self) -> list[str]:
        """Every score that any cell has, in the order of their first appearance."""
        return list(dict.fromkeys(name for cell in self.cells for name in cell.scores))


def side_of(run: Run) -> Side:
    """Return the side that a run folder holds. Raises BenchsuiteError where a cell's record cannot be read."""
    experiment = experiments(run)
    try:
        records = run.records
    except ValueError as error:
        raise BenchsuiteError(f"{run.folder}: the record of a cell is damaged ({error})") from error
    cells = tuple(_cell(run, name, record, experiment) for name, record in records.items())
    about = {key: run.provenance.get(key) for key in ("commit", "dirty", "benchsuite", "started")}
    settings = flattened(run.scenario)
    return Side(str(run.folder), str(run.scenario["name"]), run.scale, cells, machine(run), settings, about, run.columns)


def _cell(run: Run, name: str, record: Mapping[str, Any], experiment: Callable[[str], str]) -> CellFacts:
    try:
        row, series, content = record["row"], record["keys"].get("series", ""), run.cell(name).series_checksum()
        others = NOT_SCORES.union(run.sweep_keys)
        scores = {column: float(value) for column, value in row.items() if column not in others and _is_number(value)}
        label, swept = str(row["reconstructor"]), {key: row.get(key) for key in run.sweep_keys}
        return CellFacts(
            label, swept, int(row.get("repeat") or 0), int(row.get("seed") or 0), str(row.get("device", "")),
            str(row["status"]), str(row.get("reason") or ""), experiment(label), series, content, scores,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise BenchsuiteError(f"{run.folder}: the record of cell {name} is damaged ({type(error).__name__}: {error})") from error


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def experiments(run: Run) -> Callable[[str], str]:
    """Return a function of a label: the hash of all settings that decide the data and the grid of that method.

    Swept scalars are left to the cells; what a sweep shows by its label (a phantom) is in the hash.
    """
    shared = {key: value for key, value in run.scenario.items() if key not in NOT_DATA}
    swept = [value for key, value in flattened(run.scenario.get("sweep") or [], "sweep").items() if ".phantom" in key]
    entries = [entry for entry in run.scenario.get("reconstructors") or () if isinstance(entry, Mapping)]
    experiment_of = {str(entry.get("label")): entry.get("experiment") for entry in entries}
    return functools.cache(lambda label: _hash({"shared": shared, "phantoms": swept, "own": experiment_of.get(label)}))


def machine(run: Run) -> dict[str, str]:
    """Return what times of this run depend on, one text per fact; empty where the run did not write it down."""
    facts = {key: run.provenance[key] for key in MACHINE if run.provenance.get(key) is not None}
    return {key: str(json.loads(text)) for key, text in flattened(facts).items()}


def condition_text(swept: Mapping[str, Any]) -> str:
    """Return one text for equal settings of a sweep: 8 and 8.0 are equal, and so are nan and nothing."""
    return json.dumps({key: _plain(value) for key, value in sorted(swept.items())})


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value)
        return None if math.isnan(number) else str(number) if math.isinf(number) else number
    return value


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(_plain(value), sort_keys=True).encode()).hexdigest()[:32]


def flattened(value: Any, prefix: str = "") -> dict[str, str]:
    """Return {dotted key: text} of nested settings; entries with a label stand under it."""
    if isinstance(value, Mapping):
        return {k: v for key, item in value.items() for k, v in flattened(item, f"{prefix}.{key}" if prefix else str(key)).items()}
    if isinstance(value, list) and value and all(isinstance(item, Mapping) and "label" in item for item in value):
        return flattened({item["label"]: {k: v for k, v in item.items() if k != "label"} for item in value}, prefix)
    return {prefix: json.dumps(_plain(value), sort_keys=True)}
