"""HDF5 files: EMD of ours and of py4DSTEM, a dataset by its path, and what RosettaSciIO reads."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.errors import BenchsuiteError, choices
from benchsuite.measured.checks import damage_reported
from benchsuite.measured.contents import Contents
from benchsuite.measured.emd_reader import emd_contents
from benchsuite.measured.hdf5 import import_h5py
from benchsuite.measured.rosettasciio import rosettasciio_contents

MOST_LISTED = 12


def hdf5_contents(file: Path, dataset: str | None = None) -> Contents:
    """Return the dataset of that path, or the tilt series of an EMD file, or the only array of two and more axes there is."""
    h5py = import_h5py(file)
    if not h5py.is_hdf5(file):
        raise BenchsuiteError(f"{file}: not an HDF5 file, or cut off")
    with damage_reported(file), h5py.File(file, "r") as stream:
        if dataset is not None:
            return _of_dataset(file, stream, dataset)
        if stream.attrs.get("emd_group_type") == "file":
            return emd_contents(file, stream)
        if ("Data" in stream and "Version" in stream) or "Experiments" in stream:
            return rosettasciio_contents(file)  # Velox, HyperSpy
        found = _arrays(stream)
        if len(found) == 1:
            return _of_dataset(file, stream, found[0])
        listed = ", ".join(f"{name} {stream[name].shape}" for name in found[:MOST_LISTED]) or "none"
        raise BenchsuiteError(f"{file}: say which array it is with series.dataset; arrays in it: {listed}")


class Hdf5Array:
    """A dataset, read where it is indexed."""

    def __init__(self, file: Path, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._file, self._name, self.shape, self.dtype = file, name, shape, dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        h5py = import_h5py(self._file)
        with damage_reported(self._file), h5py.File(self._file, "r") as stream:
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
    return Contents("HDF5", Hdf5Array(file, name, tuple(data.shape), data.dtype), remarks=remarks)


def _arrays(stream: Any) -> list[str]:
    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if hasattr(item, "dtype") and item.ndim >= 2 and item.dtype.kind in "fiu":
            found.append(f"/{name}")

    stream.visititems(visit)
    return found
