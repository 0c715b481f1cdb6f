"""Series, volumes and atoms in the formats of other programs: MRC and TIFF with a list of angles, and whatever ASE writes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TypeVar

import numpy as np
from ase import Atoms

from benchsuite.atomic import temporary_name, write_bytes, write_text
from benchsuite.errors import BenchsuiteError, choices
from benchsuite.results import Run

T = TypeVar("T")

STACKS = (".mrc", ".tif", ".tiff")
ATOMS = (".extxyz", ".xyz", ".cif")


def export_cell(run: Run, cell_id: str, what: str, file: Path) -> list[Path]:
    """Write one thing of a cell and return the files written.

    A series becomes a stack (tilt, y, x) with a `.rawtlt` of angles about y in degrees beside it where the rotations are about y.
    Raises BenchsuiteError for an unknown cell, thing or format, and where the cell has no such result.
    """
    if cell_id not in run.records:
        raise BenchsuiteError(f"cell {cell_id!r} is not in {run.folder}; {choices(cell_id, run.records)}")
    cell = run.cell(cell_id)
    kinds = {"series": STACKS, "volume": STACKS, "truth": ATOMS, "traced": ATOMS}
    if what not in kinds:
        raise BenchsuiteError(f"cannot export {what!r}; {choices(what, kinds)}")
    if file.suffix not in kinds[what]:
        raise BenchsuiteError(f"{file}: {what} can be written to {', '.join(kinds[what])}")
    if what in ("truth", "traced"):
        atoms = cell.truth() if what == "truth" else cell.traced()
        return [_write_atoms(_there(atoms, what, cell_id), file)]
    if what == "volume":
        result = _there(cell.reconstruction(), what, cell_id)
        volume = _there(result.volume, what, cell_id)
        return [_write_stack(volume.data, volume.voxel_A, file)]
    series = _there(cell.series(), what, cell_id)
    written = [_write_stack(series.data.mean(axis=1), series.scan_step_A, file)]
    angles = angles_about_y(series.rotations)
    if angles is not None:
        written.append(file.with_suffix(".rawtlt"))
        write_text(written[-1], "".join(f"{angle:.6f}\n" for angle in angles))
    return written


def angles_about_y(rotations: np.ndarray) -> np.ndarray | None:
    """Return the (n,) angles in degrees of rotations about the y axis, or None if they are about another."""
    if not np.allclose(rotations[:, 1], [0, 1, 0], atol=1e-6):
        return None
    return np.rad2deg(np.arctan2(rotations[:, 0, 2], rotations[:, 0, 0]))


def _there(value: T | None, what: str, cell_id: str) -> T:
    if value is None:
        raise BenchsuiteError(f"cell {cell_id} has no {what}")
    return value


def _write_stack(data: np.ndarray, pixel_A: float, file: Path) -> Path:
    buffer = io.BytesIO()
    try:
        if file.suffix == ".mrc":
            import mrcfile

            temporary = temporary_name(file)
            with mrcfile.new(temporary, overwrite=True) as mrc:
                mrc.set_data(data.astype(np.float32))
                mrc.voxel_size = pixel_A
            buffer.write(temporary.read_bytes())
            temporary.unlink()
        else:
            import tifffile

            tifffile.imwrite(buffer, data.astype(np.float32), metadata={"axes": "ZYX", "spacing": pixel_A, "unit": "angstrom"})
    except ImportError as error:
        raise BenchsuiteError(f"{file.suffix} needs the extra `formats`: pip install 'benchsuite[formats]' ({error})") from error
    write_bytes(file, buffer.getvalue())
    return file


def _write_atoms(atoms: Atoms, file: Path) -> Path:
    from ase.io import write

    buffer = io.BytesIO() if file.suffix == ".cif" else io.StringIO()
    write(buffer, atoms, format={".extxyz": "extxyz", ".xyz": "xyz", ".cif": "cif"}[file.suffix])
    content = buffer.getvalue()
    write_bytes(file, content if isinstance(content, bytes) else content.encode())
    return file
