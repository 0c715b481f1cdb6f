"""MRC stacks through mrcfile; sections are tilts."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.contract.reader import Contents, MappedArray, Reader

PIXEL_SIZE_DIGITS = 7  # the header is in single precision


class MRC(Reader):
    title = "MRC stacks; sections are tilts"
    reference = "Cheng et al. 2015, doi:10.1016/j.jsb.2015.04.002"
    suffixes = (".mrc", ".mrcs", ".st", ".ali", ".rec")
    extra = "formats"

    def open(self, file: Path, dataset: str | None = None) -> Contents:
        import mrcfile

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the permissive mode, which warns, is not used
            with mrcfile.mmap(file, mode="r") as mrc:
                return Contents(MappedArray.of(file, mrc.data), _metadata(mrc))

    def write_stack(self, data: np.ndarray, pixel_A: float, file: Path) -> None:
        import mrcfile

        with mrcfile.new(file) as mrc:
            mrc.set_data(data)
            mrc.voxel_size = pixel_A


def _metadata(mrc: Any) -> dict[str, Any]:
    """Header fields that are used: the pixel size, if it is one for rows and columns."""
    x, y = (float(f"{float(size):.{PIXEL_SIZE_DIGITS}g}") for size in (mrc.voxel_size.x, mrc.voxel_size.y))
    return {"scan_step_A": x} if x == y and 0 < x < float("inf") else {}
