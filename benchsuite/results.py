"""A finished (or interrupted) run as its folder tells it: the table, and each cell's stored arrays and atoms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms

from benchsuite.atomic import write_text
from benchsuite.columns import Column, Columns
from benchsuite.data import Preprocessed, Reconstruction, TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.storage import SERIES, load_arrays, load_atoms, load_preprocessed, load_reconstruction, load_series
from benchsuite.store import Key, Store, digest

RUN_FILE = "run.json"
TABLE_FILE = "results.csv"
CELLS_FOLDER = "cells"
FORMAT = 2
PREPROCESSED = "preprocessed_"  # with a number: a step of `preprocess:` among the keys of a cell
METRIC = "metric_"  # with a name: a metric that the scenario asks for
LEADING = (  # columns of every table, first of all
    Column("cell", "Cell", role="fact"),
    Column("scenario", "Scenario", role="fact"),
    Column("scale", "Scale", role="fact"),
    Column("status", "Status", role="fact"),
    Column("reason", "Reason", role="fact"),
    Column("reconstructor", "Method", role="fact"),
    Column("repeat", "Repeat", role="fact"),
    Column("seed", "Seed", role="fact"),
)
COSTS = (  # behind the scores
    Column("reconstruct_s", "Time", "s", "lower", role="cost", description="Time of the reconstruction and the steps before it"),
    Column("peak_memory_mb", "Peak memory", "MB", "lower", role="cost", description="Peak resident memory of the reconstruction"),
)
SETTING = (Column("device", "Device", role="fact"), Column("engine", "Engine", role="fact"))  # last of all


class Run:
    """One run folder. Raises BenchsuiteError where the folder holds no run."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        file = self.folder / RUN_FILE
        try:
            self._about: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BenchsuiteError(f"{self.folder} is not a run folder ({RUN_FILE}: {error})") from error
        if self._about.get("format") != FORMAT:
            raise BenchsuiteError(f"{file}: format {self._about.get('format')!r}; this version reads format {FORMAT}")
        store = Path(self._about["store"])
        self.store = Store(store if store.is_absolute() else self.folder / store)

    @property
    def scenario(self) -> Mapping[str, Any]:
        """The resolved scenario as a plain mapping."""
        return self._about["scenario"]

    @property
    def scale(self) -> str:
        return self._about["scale"]

    @property
    def sweep_keys(self) -> list[str]:
        return self._about["sweep_keys"]

    @property
    def provenance(self) -> Mapping[str, Any]:
        return self._about["provenance"]

    @property
    def caveats(self) -> Mapping[str, str]:
        """What the simulated data lack, by the name of the engine."""
        return self._about.get("caveats", {})

    @property
    def shared_forward_models(self) -> Mapping[str, str]:
        """The physics module by which the data of a method were simulated and that it computes with, by the label of the method."""
        return self._about.get("shared_forward_models", {})

    @property
    def published(self) -> list[dict[str, Any]]:
        return list(self.scenario.get("published") or [])

    @cached_property
    def records(self) -> dict[str, dict[str, Any]]:
        """What was written down about each finished cell: {"row": …, "keys": …, "log": …} by cell id."""
        files = sorted((self.folder / CELLS_FOLDER).glob("*.json"))
        return {file.stem: read_sealed(file) for file in files if not file.name.startswith(".")}

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per cell, columns as in results.csv."""
        return table_of([record["row"] for record in self.records.values()], self.sweep_keys, self.columns)

    def write_table(self) -> None:
        """Write results.csv anew: a run that was killed may not have written its last rows."""
        write_table(self.folder, [record["row"] for record in self.records.values()], self.sweep_keys, self.columns)

    @cached_property
    def columns(self) -> Columns:
        """The columns of the table, as what fills them declares them."""
        return Columns([*LEADING, *Columns.from_json(self._about["columns"]), *COSTS, *SETTING])

    @cached_property
    def without_atoms(self) -> bool:
        """Whether there are scores, but none of them of atoms: slices of single views have none."""
        scored = self.table[self.table["status"] == "ok"]
        return len(scored) > 0 and _lacks(scored, "n_traced")

    @cached_property
    def without_truth(self) -> bool:
        """Whether there are scores, but no ground truth that they compare with: of measured data."""
        scored = self.table[self.table["status"] == "ok"]
        return len(scored) > 0 and _lacks(scored, "n_true")

    def cell(self, cell_id: str) -> CellResult:
        """Return the stored data of a cell."""
        return CellResult(self, cell_id)


@dataclass(frozen=True)
class CellResult:
    """Access to the stages of one cell; None for what it never reached."""

    run: Run
    id: str

    @property
    def row(self) -> pd.Series:
        return pd.Series(self.run.records[self.id]["row"])

    def series(self) -> TiltSeries | None:
        folder = self._folder("series", "series.zarr")
        return load_series(folder) if folder else None

    def series_checksum(self) -> str:
        """Return a hash of the bytes of the series, by the checksums that the store keeps; empty where it has no such series."""
        text = self.run.records[self.id]["keys"].get("series")
        if not text or not self.run.store.has(Key.parse(text)):
            return ""
        try:
            files = self.run.store.manifest(Key.parse(text))["files"]
        except (OSError, ValueError, KeyError):  # a damaged entry vouches for nothing
            return ""
        return digest({name: total for name, total in files.items() if name.startswith(f"{SERIES}/")})

    def preprocessed(self) -> list[Preprocessed]:
        """What the steps of `preprocess:` made of the series, one after the other; as far as they came."""
        found: list[Preprocessed] = []
        while folder := self._folder(f"{PREPROCESSED}{len(found)}", ""):
            found.append(load_preprocessed(folder))
        return found

    def reconstruction(self) -> Reconstruction | None:
        folder = self._folder("reconstruction", "reconstruction")
        return load_reconstruction(folder) if folder else None

    def last_good(self) -> Reconstruction | None:
        """What a reconstruction that diverged had before."""
        folder = self._folder("diverged", "diverged")
        return load_reconstruction(folder) if folder else None

    def truth(self) -> Atoms | None:
        file = self._folder("match", "truth_scored.extxyz")
        return load_atoms(file) if file else None

    def traced(self) -> Atoms | None:
        file = self._folder("match", "traced_scored.extxyz")
        return load_atoms(file) if file else None

    def curves(self) -> dict[str, np.ndarray]:
        """The curves of all metrics; those that every run has keep their names."""
        stages = [stage for stage in self.run.records[self.id]["keys"] if stage.startswith(METRIC)]
        folders = [folder for stage in (*stages, "scores") if (folder := self._folder(stage, "curves.zarr"))]
        return {name: curve for folder in folders for name, curve in load_arrays(folder)[0].items()}

    def confusion(self) -> dict[str, dict[str, int]]:
        """Counts {true element or "false": {traced as element or "missing": n}}; empty where nothing was matched."""
        file = self._folder("match", "match.json")
        return json.loads(file.read_text(encoding="utf-8"))["confusion"] if file else {}

    def made_with(self, stage: str) -> Mapping[str, Any]:
        """The resolved parameters of a stage, as the store has them; empty where it has no such entry."""
        text = self.run.records[self.id]["keys"].get(stage)
        key = Key.parse(text) if text else None
        return self.run.store.manifest(key).get("inputs", {}) if key and self.run.store.has(key) else {}

    def gone(self) -> list[str]:
        """The stages whose entries the store had when the cell ended, and has no more."""
        return [stage for stage, text in self.run.records[self.id]["keys"].items() if not self.run.store.has(Key.parse(text))]

    def _folder(self, stage: str, name: str) -> Path | None:
        text = self.run.records[self.id]["keys"].get(stage)
        folder = self.run.store.open(Key.parse(text)) if text else None
        return folder / name if folder and (folder / name).exists() else None


def _lacks(table: pd.DataFrame, name: str) -> bool:
    return name not in table or bool(table[name].isna().all())


def sealed_text(record: dict[str, Any]) -> str:
    """Return what is written down about a cell, with a seal that tells later whether it is still what was written."""
    return json.dumps({**record, "seal": digest(record)}, indent=1)


def read_sealed(file: Path) -> dict[str, Any]:
    """Return what was written down about a cell. Raises BenchsuiteError where it is no longer what was written."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        whole = record.pop("seal", None) in (None, digest(record))  # runs of earlier versions have no seals
    except (OSError, ValueError, AttributeError):
        whole = False
    if not whole:
        raise BenchsuiteError(f"{file} is damaged; the same `benchsuite run` writes it again, from the store")
    return record


def write_table(folder: Path, rows: list[dict[str, Any]], sweep_keys: list[str], columns: Columns) -> None:
    """Write results.csv of a run folder."""
    write_text(folder / TABLE_FILE, table_of(rows, sweep_keys, columns).to_csv(index=False))


def table_of(rows: list[dict[str, Any]], sweep_keys: list[str], columns: Columns) -> pd.DataFrame:
    """Return the results table: leading columns, swept keys, then every other column that any cell has, in the declared order.

    Headline scores and costs have their column even where no cell has a value.
    """
    first = [*(column.name for column in LEADING), *sweep_keys]
    always = {column.name for column in columns if column.role in ("headline", "cost") and "<" not in column.name}
    present = {name for row in rows for name in row} | always
    names = [*first, *(name for name in columns.ordered(present) if name not in first)]
    return pd.DataFrame([{name: row.get(name, np.nan) for name in names} for row in rows], columns=names)
