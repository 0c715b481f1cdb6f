"""HDF5 files: a dataset by its path, or the only one that there is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.contract.reader import Contents, Reader
from benchsuite.errors import BenchsuiteError, choices

MAX_LISTED = 12


class HDF5(Reader):
    title = "HDF5 files; a dataset by its path"
    reference = "https://www.hdfgroup.org/solutions/hdf5"
    suffixes = (".h5", ".hdf5", ".emd", ".py4dstem")
    extra = "formats"

    def open(self, file: Path, dataset: str | None = None) -> Contents:
        """Return the dataset of that path, or the only array of two and more axes."""
        import h5py

        if not h5py.is_hdf5(file):
            raise BenchsuiteError(f"{file}: not an HDF5 file, or cut off")
        with h5py.File(file, "r") as stream:
            found = _arrays(stream)
            if dataset is None and len(found) != 1:
                listed = ", ".join(f"{name} {stream[name].shape}" for name in found[:MAX_LISTED]) or "none"
                raise BenchsuiteError(f"{file}: series.dataset must name one of its arrays: {listed}")
            return _of_dataset(file, stream, dataset or found[0])


class Hdf5Array:
    """A dataset, read where it is indexed."""

    def __init__(self, file: Path, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._file, self._name, self.shape, self.dtype = file, name, shape, dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        import h5py

        with h5py.File(self._file, "r") as stream:
            return np.asarray(stream[self._name][index])


def _of_dataset(file: Path, stream: Any, name: str) -> Contents:
    if name not in stream or not hasattr(stream[name], "dtype"):
        raise BenchsuiteError(f"{file}: series.dataset {name}: no such array; {choices(name, _arrays(stream))}")
    data = stream[name]
    remarks: tuple[str, ...] = ()
    if not data.is_virtual and data.id.get_storage_size() == 0:
        raise BenchsuiteError(f"{file}: {name} of shape {data.shape} was never written")
    if data.chunks is not None:
        expected = math.prod(-(-length // chunk) for length, chunk in zip(data.shape, data.chunks, strict=True))
        absent = expected - data.id.get_num_chunks()
        if absent:
            remarks = (f"{file.name}: {absent} of {expected} chunks of {name} are absent and read as {data.fillvalue}",)
    return Contents(Hdf5Array(file, name, tuple(data.shape), data.dtype), remarks=remarks)


def _arrays(stream: Any) -> list[str]:
    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if hasattr(item, "dtype") and item.ndim >= 2 and item.dtype.kind in "fiu":
            found.append(f"/{name}")

    stream.visititems(visit)
    return found
