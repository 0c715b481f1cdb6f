"""The run folder: what is written, when, and the lock that keeps two runs out of one folder."""

from __future__ import annotations

import io
import json
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from benchsuite import registry
from benchsuite.atomic import clear_disk_errors, write_text
from benchsuite.contract.algorithm import Algorithm
from benchsuite.errors import BenchsuiteError
from benchsuite.forward_models import shared_forward_model
from benchsuite.provenance import provenance
from benchsuite.results import CELLS_FOLDER, COSTS, FORMAT, RUN_FILE, read_sealed, sealed_text, write_table
from benchsuite.scenario import Cell, Loaded
from benchsuite.scenario.metrics import columns_of
from benchsuite.storage import json_safe
from benchsuite.store import Store

SCENARIO_FILE = "scenario.yaml"
SHOWN_SCORES = 4  # on the progress line of a cell without headline scores


class RunFolder:
    """Writes a run's files, each atomically, each as soon as its content is known."""

    def __init__(self, folder: Path, loaded: Loaded, store: Store) -> None:
        self.folder, self.loaded, self.store = folder, loaded, store
        self.rows: dict[str, dict[str, Any]] = {}
        self.keys: Mapping[str, str] = {}
        self.columns = columns_of(cell.experiment.analysis for cell in loaded.cells)
        self._next_table_s = 0.0
        self._writing = threading.Lock()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one run. Raises BenchsuiteError where another run has it."""
        with clear_disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / ".lock", fallback_to_soft=False)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                raise BenchsuiteError(f"{self.folder} is in use by another run; choose another --out") from None
        try:
            yield
        finally:
            lock.release()

    def begin(self, keys: Mapping[str, str]) -> None:
        """Write what is known before the first cell: the resolved scenario, where the run comes from, and the table so far.

        keys: of the scores of each cell. What an earlier run wrote down under the same key stays, until the cell has ended again.
        """
        relative = os.path.relpath(self.store.root, self.folder.absolute())
        about = {
            "format": FORMAT,
            "scenario": json_safe(dict(self.loaded.resolved)),
            "source": self.loaded.source,
            "scale": self.loaded.scale,
            "sweep_keys": list(self.loaded.sweep_keys),
            "store": relative,
            "cells": [cell.id for cell in self.loaded.cells],
            "columns": self.columns.to_json(),
            "caveats": _caveats(self.loaded.cells),
            "shared_forward_models": _shared_forward_models(self.loaded.cells),
            "provenance": provenance(),
        }
        write_text(self.folder / RUN_FILE, json.dumps(about, indent=1))
        write_text(self.folder / SCENARIO_FILE, _yaml(about["scenario"]))
        self.keys = keys
        for file in sorted((self.folder / CELLS_FOLDER).glob("*.json")):
            row = _row_of(file, keys.get(file.stem))
            if row is None:
                file.unlink()
            else:
                self.rows[file.stem] = row
        self.write_table()

    def finish_cell(
        self,
        cell: Cell,
        row: Mapping[str, Any],
        keys: Mapping[str, str],
        log: str,
    ) -> None:
        """Write down how a cell ended, and about once a second the table so far: what it says is in the files of the cells."""
        record: dict[str, Any] = {"key": self.keys.get(cell.id), "row": json_safe(dict(row)), "keys": dict(keys), "log": log}
        file, text = self.folder / CELLS_FOLDER / f"{cell.id}.json", sealed_text(record)
        if not (file.is_file() and file.read_text(encoding="utf-8") == text):
            write_text(file, text)
        with self._writing:
            self.rows[cell.id] = dict(row)
            if time.monotonic() > self._next_table_s:
                self.write_table()

    def shown_scores(self, row: Mapping[str, Any]) -> list[tuple[str, float, str]]:
        """Return (title, value, unit) of the scores for the progress line of a cell: headline scores, or else the first others."""
        present = [column for column in self.columns if math.isfinite(row.get(column.name, math.nan))]
        headline = [column for column in present if column.role == "headline"]
        chosen = headline or [column for column in present if column.role == "score"][:SHOWN_SCORES]
        costs = [column for column in COSTS if column.unit == "s" and column.name in row]
        return [(column.title, row[column.name], column.unit) for column in (*chosen, *costs)]

    def write_table(self) -> None:
        """Write results.csv with the cells that have ended, in order."""
        started = time.monotonic()
        write_table(self.folder, [self.rows[key] for key in sorted(self.rows)], list(self.loaded.sweep_keys), self.columns)
        finished = time.monotonic()
        self._next_table_s = finished + max(1.0, 20 * (finished - started))  # a long table must not be all that is done


def _caveats(cells: Sequence[Cell]) -> dict[str, str]:
    """What the data of the simulation engines lack, by the name of the engine."""
    engines = {cell.experiment.engine for cell in cells if cell.experiment.measured is None}
    return {name: caveat for name in sorted(engines) if (caveat := registry.simulator(name).caveat)}


def _shared_forward_models(cells: Sequence[Cell]) -> dict[str, str]:
    """The physics module by which the data of a method are simulated and that it computes with, by the label of the method."""
    shared: dict[str, str | None] = {}
    for cell in cells:
        label = cell.reconstructor.label
        if cell.experiment.measured is None and shared.get(label) is None:
            shared[label] = shared_forward_model(registry.simulator(cell.experiment.engine), *_algorithms(cell))
    return {label: module for label, module in shared.items() if module is not None}


def _algorithms(cell: Cell) -> list[Algorithm[Any]]:
    """The preprocessing steps and the reconstructor of a cell, and those of the one whose atoms it refines."""
    spec = cell.reconstructor
    found = [registry.registered(one.registry_kind, one.name)(one.params) for one in (*spec.preprocess, spec)]
    return found if cell.initial is None else [*found, *_algorithms(cell.initial)]


def _row_of(file: Path, key: str | None) -> dict[str, Any] | None:
    """The row that an earlier run wrote down for a cell; None where it was another cell, or the file is damaged."""
    try:
        record = read_sealed(file)
        return dict(record["row"]) if key is not None and record["key"] == key else None
    except (BenchsuiteError, KeyError, TypeError):
        return None


def _yaml(value: Any) -> str:
    from ruamel.yaml import YAML

    buffer = io.StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.representer.ignore_aliases = lambda data: True
    writer.dump(value, buffer)
    return buffer.getvalue()
