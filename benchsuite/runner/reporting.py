"""The report that follows a run, written anew where it would be another one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from benchsuite import reports
from benchsuite.atomic import write_text
from benchsuite.results import CELLS_FOLDER, RUN_FILE, Run

STAMP = "made_of.sha256"
PAGE = "report/index.html"
UNREPORTED = ("provenance",)  # of the run file: it tells of the last start, not of the results


def report_of(folder: Path) -> Path:
    """Return the report page of a run; it is written unless it is there, made of the same results by the same code."""
    stamp, content = folder / "report" / STAMP, _content(folder)
    if (folder / PAGE).is_file() and stamp.is_file() and stamp.read_text(encoding="utf-8") == content:
        return folder / PAGE
    page = reports.write_report(Run(folder))
    write_text(stamp, content)
    return page


def _content(folder: Path) -> str:
    """A hash of the records of all cells, of the scenario, and of the code that reports."""
    about = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    total = hashlib.sha256(json.dumps({key: value for key, value in about.items() if key not in UNREPORTED}).encode())
    for file in (*sorted((folder / CELLS_FOLDER).glob("*.json")), *_sources()):
        total.update(f"{file.name}\n{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _sources() -> Iterator[Path]:
    root = Path(reports.__file__).parent
    yield from sorted(file for file in root.rglob("*") if file.is_file() and file.suffix not in (".pyc", ".nbc", ".nbi"))
