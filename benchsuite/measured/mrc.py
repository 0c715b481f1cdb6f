"""MRC stacks (Cheng et al. 2015, doi:10.1016/j.jsb.2015.04.002) through mrcfile, mapped from disk: sections are tilts."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from benchsuite.measured.checks import damage_reported, import_extra
from benchsuite.measured.contents import Contents, Mapped

STRICT_DIGITS = 7  # a cell of the header is in single precision


def mrc_contents(file: Path, dataset: str | None = None) -> Contents:
    """Return the stack of an MRC file, (sections, rows, columns), with the pixel size of its header."""
    mrcfile = import_extra("mrcfile", file, "formats")
    with damage_reported(file), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with mrcfile.mmap(file, mode="r") as mrc:
            step, array = _step_A(mrc), Mapped(file, mrc.data)
    return Contents("MRC", array, {} if step is None else {"scan_step_A": step})


def _step_A(mrc: Any) -> float | None:
    """The pixel size in Å, if it is one for rows and columns."""
    x, y = (float(f"{float(size):.{STRICT_DIGITS}g}") for size in (mrc.voxel_size.x, mrc.voxel_size.y))
    return x if x == y and 0 < x < float("inf") else None
