"""The run folder: what is written, when, and the lock that keeps two runs out of one folder."""

from __future__ import annotations

import fcntl
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchsuite.atomic import clear_disk_errors, write_text
from benchsuite.errors import BenchsuiteError
from benchsuite.provenance import provenance
from benchsuite.results import CELLS_FOLDER, FORMAT, RUN_FILE, TABLE_FILE, table_of
from benchsuite.scenario import Cell, Loaded
from benchsuite.storage import json_safe
from benchsuite.store import Store

SCENARIO_FILE = "scenario.yaml"


class RunFolder:
    """Writes a run's files, each atomically, each as soon as its content is known."""

    def __init__(self, folder: Path, loaded: Loaded, store: Store) -> None:
        self.folder, self.loaded, self.store = folder, loaded, store
        self.rows: dict[str, dict[str, Any]] = {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one run. Raises BenchsuiteError where another run has it."""
        with clear_disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = open(self.folder / ".lock", "w")  # noqa: SIM115
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise BenchsuiteError(f"{self.folder} is in use by another run; choose another --out") from None
            yield

    def begin(self) -> None:
        """Write what is known before the first cell: the resolved scenario and where the run comes from."""
        relative = os.path.relpath(self.store.root, self.folder.absolute())
        about = {
            "format": FORMAT,
            "scenario": json_safe(dict(self.loaded.resolved)),
            "source": self.loaded.source,
            "scale": self.loaded.scale,
            "sweep_keys": list(self.loaded.sweep_keys),
            "store": relative,
            "cells": [cell.id for cell in self.loaded.cells],
            "provenance": provenance(),
        }
        write_text(self.folder / RUN_FILE, json.dumps(about, indent=1))
        write_text(self.folder / SCENARIO_FILE, _yaml(about["scenario"]))
        for stale in (self.folder / CELLS_FOLDER).glob("*.json"):
            if stale.stem not in about["cells"]:
                stale.unlink()

    def finish_cell(
        self,
        cell: Cell,
        row: Mapping[str, Any],
        keys: Mapping[str, str],
        log: str,
        measures: Mapping[str, Mapping[str, str]] = {},
    ) -> None:
        """Write down how a cell ended, and the table so far. `measures`: whose the columns are that are not built in."""
        self.rows[cell.id] = dict(row)
        record = {"row": json_safe(dict(row)), "keys": dict(keys), "log": log, "measures": dict(measures)}
        write_text(self.folder / CELLS_FOLDER / f"{cell.id}.json", json.dumps(record, indent=1))
        self.write_table()

    def write_table(self) -> None:
        """Write results.csv with the cells that have ended, in order."""
        buffer = io.StringIO()
        ordered: Sequence[dict[str, Any]] = [self.rows[key] for key in sorted(self.rows)]
        table_of(list(ordered), list(self.loaded.sweep_keys)).to_csv(buffer, index=False)
        write_text(self.folder / TABLE_FILE, buffer.getvalue())


def _yaml(value: Any) -> str:
    from ruamel.yaml import YAML

    buffer = io.StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.representer.ignore_aliases = lambda data: True
    writer.dump(value, buffer)
    return buffer.getvalue()
