"""Series, volumes and atoms of a run in the formats of other programs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TypeVar

from ase import Atoms

from benchsuite.atomic import write_bytes
from benchsuite.errors import BenchsuiteError, choices
from benchsuite.measured.files import write_series, write_volume, written_suffixes
from benchsuite.results import Run

T = TypeVar("T")

ATOMS = {".extxyz": "extxyz", ".xyz": "xyz", ".cif": "cif"}


def export_cell(run: Run, cell_id: str, what: str, file: Path) -> list[Path]:
    """Write one thing of a cell and return the files written.

    Series and volumes go to every registered format that can be written (`measured.files`), atoms to those of ASE.
    Raises BenchsuiteError for an unknown cell, thing or format, and where the cell has no such result.
    """
    if cell_id not in run.records:
        raise BenchsuiteError(f"cell {cell_id!r} is not in {run.folder}; {choices(cell_id, run.records)}")
    cell = run.cell(cell_id)
    stacks = written_suffixes("stack")
    suffixes = {"series": [*stacks, *written_suffixes("series")], "volume": stacks, "truth": [*ATOMS], "traced": [*ATOMS]}
    if what not in suffixes:
        raise BenchsuiteError(f"cannot export {what!r}; {choices(what, suffixes)}")
    if file.suffix.lower() not in suffixes[what]:
        raise BenchsuiteError(f"{file}: {what} can be written to {', '.join(suffixes[what])}")
    if what in ("truth", "traced"):
        atoms = cell.truth() if what == "truth" else cell.traced()
        return [_write_atoms(_there(atoms, what, cell_id), file)]
    if what == "volume":
        result = _there(cell.reconstruction(), what, cell_id)
        return write_volume(_there(result.volume, what, cell_id), file)
    return write_series(_there(cell.series(), what, cell_id), file)


def _there(value: T | None, what: str, cell_id: str) -> T:
    if value is None:
        raise BenchsuiteError(f"cell {cell_id} has no {what}")
    return value


def _write_atoms(atoms: Atoms, file: Path) -> Path:
    from ase.io import write

    form = ATOMS[file.suffix.lower()]
    buffer = io.BytesIO() if form == "cif" else io.StringIO()
    write(buffer, atoms, format=form)
    content = buffer.getvalue()
    write_bytes(file, content if isinstance(content, bytes) else content.encode())
    return file
