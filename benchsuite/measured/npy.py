"""Arrays that NumPy saved (.npy), mapped from disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchsuite.errors import BenchsuiteError
from benchsuite.measured.checks import damage_reported
from benchsuite.measured.contents import Contents, Mapped


def npy_contents(file: Path, dataset: str | None = None) -> Contents:
    """Return the array of a .npy file; pickled objects are refused."""
    with damage_reported(file):
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.memmap):
        raise BenchsuiteError(f"{file}: not one array; allowed: what numpy.save writes")
    return Contents("NumPy", Mapped(file, array))
