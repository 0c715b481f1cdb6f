"""What BASE and CANDIDATE may be: a run folder or a baseline file."""

from __future__ import annotations

from pathlib import Path

from benchsuite.errors import BenchsuiteError
from benchsuite.reports.comparison.baseline import read_baseline
from benchsuite.reports.comparison.side import Side, side_of
from benchsuite.results import Run


def open_side(path: str | Path) -> Side:
    """Return the side at a path. Raises BenchsuiteError where it is neither a run folder nor a baseline file."""
    found = Path(path)
    if found.is_dir():
        return side_of(Run(found))
    if found.is_file():
        return read_baseline(found)
    raise BenchsuiteError(f"{path}: no such run folder or baseline file")
