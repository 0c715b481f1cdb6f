"""Series, volumes and atoms in the formats of other programs: MRC and TIFF with angles, EMD and zarr, and what ASE writes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TypeVar

import numpy as np
from ase import Atoms

from benchsuite.atomic import temporary_name, write_bytes, write_text
from benchsuite.data import TiltSeries
from benchsuite.errors import BenchsuiteError, choices
from benchsuite.measured import write_emd, write_zarr
from benchsuite.measured.description import angles_about_y
from benchsuite.results import Run

T = TypeVar("T")

STACKS = (".mrc", ".tif", ".tiff")
SERIES = (".emd", ".h5", ".hdf5", ".zarr")
ATOMS = (".extxyz", ".xyz", ".cif")


def export_cell(run: Run, cell_id: str, what: str, file: Path) -> list[Path]:
    """Write one thing of a cell and return the files written.

    A series becomes an EMD file (`.emd`, `.h5`, `.hdf5`) or a zarr group, without loss; an ADF series also a stack (tilt, y, x)
    of the mean over foci, with a `.rawtlt` of angles about y in degrees beside it where the rotations are about y.
    Raises BenchsuiteError for an unknown cell, thing or format, and where the cell has no such result.
    """
    if cell_id not in run.records:
        raise BenchsuiteError(f"cell {cell_id!r} is not in {run.folder}; {choices(cell_id, run.records)}")
    cell = run.cell(cell_id)
    kinds = {"series": (*STACKS, *SERIES), "volume": STACKS, "truth": ATOMS, "traced": ATOMS}
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
    return _write_series(_there(cell.series(), what, cell_id), file)


def _there(value: T | None, what: str, cell_id: str) -> T:
    if value is None:
        raise BenchsuiteError(f"cell {cell_id} has no {what}")
    return value


def _write_series(series: TiltSeries, file: Path) -> list[Path]:
    if file.suffix in SERIES:
        return [write_zarr(series, file) if file.suffix == ".zarr" else write_emd(series, file)]
    if series.modality != "adf":
        raise BenchsuiteError(
            f"{file}: patterns do not fit into a stack of images; a 4dstem series can be written to {', '.join(SERIES)}"
        )
    written = [_write_stack(series.data.mean(axis=1), series.scan_step_A, file)]
    angles = angles_about_y(series.rotations)
    if angles is not None:
        written.append(file.with_suffix(".rawtlt"))
        write_text(written[-1], "".join(f"{angle:.6f}\n" for angle in angles))
    return written


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

            told = {"axes": "ZYX", "spacing": pixel_A, "unit": "angstrom"}
            tifffile.imwrite(buffer, data.astype(np.float32), photometric="minisblack", metadata=told)  # 3 or 4 tilts are no RGB
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
