"""What may be in a file of a tilt series, whatever its format, and what is said about one that is broken."""

from __future__ import annotations

import importlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.data import TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.physics.rotations import is_rotation


def check_series(series: TiltSeries, where: Path) -> None:
    """Raise BenchsuiteError unless a series has float32 images, rotations, and the sizes and energies of an experiment."""
    if 0 in series.data.shape:
        raise BenchsuiteError(f"{where}: a series of shape {series.data.shape} is empty")
    if series.data.dtype != np.float32:
        raise BenchsuiteError(f"{where}: intensities of type {series.data.dtype}; allowed: float32")
    for tilt, matrix in enumerate(series.rotations):
        if not is_rotation(np.asarray(matrix)):
            raise BenchsuiteError(f"{where}: rotations[{tilt}] is not a rotation; allowed: orthogonal matrices of determinant 1")
    if not np.isfinite(series.defocus_A).all():
        raise BenchsuiteError(f"{where}: defocus_A is {np.asarray(series.defocus_A).tolist()}; allowed: finite numbers")
    finite = {
        "scan_step_A": series.scan_step_A,
        "optics.energy_keV": series.optics.energy_keV,
        "optics.semiangle_mrad": series.optics.semiangle_mrad,
    }
    if series.modality == "4dstem":
        finite["reciprocal_step_per_A"] = series.reciprocal_step_per_A or 0.0
    for name, value in finite.items():
        if not 0 < value < np.inf:
            raise BenchsuiteError(f"{where}: no calibration: {name} is {value or None}; allowed: a positive number")
    if not series.dose_e_per_A2 > 0:
        raise BenchsuiteError(f"{where}: dose_e_per_A2 is {series.dose_e_per_A2}; allowed: a positive number, or inf")


def check_intensities(image: np.ndarray, where: str) -> None:
    """Raise BenchsuiteError unless all intensities are finite and none is negative."""
    lowest, highest = float(image.min()), float(image.max())
    if lowest < 0:
        raise BenchsuiteError(f"{where}: negative intensities (down to {lowest:g}); allowed: zero and above")
    if not (lowest >= 0 and highest < np.inf):
        raise BenchsuiteError(f"{where}: NaN or infinite intensities; allowed: finite numbers")


@contextmanager
def damage_reported(where: Path) -> Iterator[None]:
    """Turn whatever a library raises on reading a broken file or folder into a BenchsuiteError that names it."""
    try:
        yield
    except BenchsuiteError:
        raise
    except Exception as error:  # every library raises its own kinds
        raise BenchsuiteError(f"{where}: damaged, or not a whole tilt series ({type(error).__name__}: {error})") from error


def import_extra(name: str, file: Path, extra: str) -> Any:
    """Return the module of that name, or raise BenchsuiteError with the extra that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        install = f"pip install 'benchsuite[{extra}]'"
        raise BenchsuiteError(f"{file}: {file.suffix} needs the extra `{extra}`: {install} ({error})") from error


class KeyedError(BenchsuiteError):
    """Something wrong with what a key of the scenario says about a file."""

    def __init__(self, key: str, message: str) -> None:
        self.key, self.message = key, message
        super().__init__(f"{key}: {message}")


def regular_file(path: Path, key: str, folder_allowed: bool = False) -> Path:
    """Return the path if it is a file that can be read (or a folder, where allowed). Raises KeyedError otherwise."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            with open(path, "rb"):
                return path
    except (OSError, ValueError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else getattr(error, "strerror", None) or str(error)
        raise KeyedError(key, f"{path}: {reason}") from error
    if folder_allowed and stat.S_ISDIR(mode):
        return path
    raise KeyedError(key, f"{path}: {'is a folder' if stat.S_ISDIR(mode) else 'is not a regular file'}; give the name of a file")
