"""Checks of tilt series and their files, whatever the format, and the errors that name what is broken."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.data import TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.physics.rotations import is_rotation
from benchsuite.storage import json_safe


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


def checked_tilts(series: TiltSeries, where: Path) -> Iterator[np.ndarray]:
    """Yield the images of every tilt, (n_focus, …). Raises BenchsuiteError where one is not finite or is negative."""
    for tilt in range(len(series.data)):
        images = np.asarray(series.data[tilt])
        check_intensities(images, f"{where}: tilt {tilt}")
        yield images


@contextmanager
def damage_reported(where: Path, extra: str = "") -> Iterator[None]:
    """Turn whatever a library raises on a broken file, or where it is missing, into a BenchsuiteError that names the file.

    extra: the extra of benchsuite that installs the library.
    """
    try:
        yield
    except BenchsuiteError:
        raise
    except ImportError as error:
        remedy = (
            f"needs the extra `{extra}`: pip install 'benchsuite[{extra}]'" if extra else "needs a library that is not installed"
        )
        raise BenchsuiteError(f"{where}: {where.suffix} {remedy} ({error})") from error
    except Exception as error:  # every library raises exceptions of its own
        raise BenchsuiteError(f"{where}: damaged, or not a whole tilt series ({type(error).__name__}: {error})") from error


class KeyedError(BenchsuiteError):
    """A key of the scenario that does not fit a file."""

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


def natural_order(name: str) -> list[tuple[int, str]]:
    """Return a sorting key by which tilt_2 comes before tilt_10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def description(series: TiltSeries) -> dict[str, Any]:
    """Return all of a series but its images, with every number a float."""
    optics = series.optics
    reciprocal = series.reciprocal_step_per_A
    return {
        "modality": series.modality,
        "rotations": np.asarray(series.rotations, dtype=np.float64),
        "defocus_A": np.asarray(series.defocus_A, dtype=np.float64),
        "scan_step_A": float(series.scan_step_A),
        "reciprocal_step_per_A": None if reciprocal is None else float(reciprocal),
        "dose_e_per_A2": float(series.dose_e_per_A2),
        "detector_mrad": tuple(map(float, series.detector_mrad)) if series.detector_mrad else None,
        "optics": {
            "energy_keV": float(optics.energy_keV),
            "semiangle_mrad": float(optics.semiangle_mrad),
            "aberrations_A": {name: float(value) for name, value in optics.aberrations_A.items()},
        },
    }


def angles_about_y(rotations: np.ndarray) -> np.ndarray | None:
    """Return the (n,) angles in degrees of rotations about the y axis, or None if they are about another."""
    if not np.allclose(rotations[:, 1], [0, 1, 0], atol=1e-6):
        return None
    return np.rad2deg(np.arctan2(rotations[:, 0, 2], rotations[:, 0, 0]))


def fingerprint(series: TiltSeries) -> str:
    """Return the SHA-256 of everything in a series but its images (their shape counts)."""
    body = {**description(series), "shape": list(series.data.shape)}
    return hashlib.sha256(json.dumps(json_safe(body), sort_keys=True).encode()).hexdigest()


def check_fingerprint(series: TiltSeries, expected: Any, where: str) -> None:
    """Raise BenchsuiteError if a series is not the one that had the expected fingerprint; `where` holds the entry sha256."""
    if fingerprint(series) != expected:
        raise BenchsuiteError(
            f"{where}: calibration, angles, optics or dose do not match their checksum: the file is damaged or was edited; "
            "if it was edited on purpose, delete the entry sha256"
        )
