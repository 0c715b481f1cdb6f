"""Arrays that NumPy saved, mapped from disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchsuite.contract.reader import Contents, MappedArray, Reader
from benchsuite.errors import BenchsuiteError


class NPY(Reader):
    title = "NumPy arrays"
    reference = "Harris et al. 2020, doi:10.1038/s41586-020-2649-2"
    suffixes = (".npy",)

    def open(self, file: Path, dataset: str | None = None) -> Contents:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.memmap):
            raise BenchsuiteError(f"{file}: not one array; allowed: what numpy.save writes")
        return Contents(MappedArray.of(file, array))
