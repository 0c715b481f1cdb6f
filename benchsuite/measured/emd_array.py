"""The images of an EMD file as an array that stays on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.measured.checks import damage_reported
from benchsuite.measured.emd_images import read_image
from benchsuite.measured.hdf5 import import_h5py


class EmdArray:
    """The images of an EMD file as (n_tilt, n_focus, …) float32, read where they are indexed, a tilt (or some tilts) first."""

    dtype = np.dtype(np.float32)

    def __init__(self, file: Path, names: Sequence[Sequence[str]], shape: Sequence[int]) -> None:
        """`names[tilt][focus]` are the groups of the images, `shape` is the shape of one image."""
        self._file, self._names = file.absolute(), names
        self.shape = (len(names), len(names[0]), *shape)
        self.ndim, self.size = len(self.shape), int(np.prod(self.shape))
        self.nbytes = self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        first, *rest = index if isinstance(index, tuple) else (index,)
        if first is Ellipsis:
            return np.asarray(self)[index]
        tilts = np.arange(len(self))[first]
        if tilts.ndim == 0:
            return self._tilt(int(tilts), rest)
        images = [self._tilt(int(tilt), rest) for tilt in tilts]
        return np.stack(images) if images else np.empty((0, *self.shape[1:]), self.dtype)[(slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def _tilt(self, tilt: int, rest: Sequence[Any]) -> np.ndarray:
        """Return the images of a tilt, indexed by the rest of the index; a single focus is read alone."""
        h5py, names = import_h5py(self._file), self._names[tilt]
        with damage_reported(self._file), h5py.File(self._file, "r") as stream:
            if rest and isinstance(rest[0], (int, np.integer)):
                image = read_image(self._file, stream, names[int(rest[0])])
                return image[tuple(rest[1:])]
            images = np.stack([read_image(self._file, stream, name) for name in names])
        return images[tuple(rest)]


class EmdCubes:
    """The data cubes of an EMD file of another program as (n_tilt, …), of the type they have, read where they are indexed."""

    def __init__(self, file: Path, names: Sequence[str], shape: Sequence[int], dtype: np.dtype) -> None:
        self._file, self._names = file.absolute(), names
        self.shape, self.dtype = (len(names), *shape), np.dtype(dtype)

    def __getitem__(self, index: Any) -> np.ndarray:
        tilt, *rest = index
        h5py = import_h5py(self._file)
        with damage_reported(self._file), h5py.File(self._file, "r") as stream:
            return np.asarray(stream[f"{self._names[tilt]}/data"][tuple(rest)])
