"""What files of tilt series have in common, whatever their format: what may be in them, their checksum, and whole files only."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.atomic import clear_disk_errors, fsync_path, temporary_name
from benchsuite.data import TiltSeries
from benchsuite.errors import BenchsuiteError, StoreError
from benchsuite.geometry import is_rotation
from benchsuite.storage import json_safe

UNREADABLE = (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError)


def angles_about_y(rotations: np.ndarray) -> np.ndarray | None:
    """Return the (n,) angles in degrees of rotations about the y axis, or None if they are about another."""
    if not np.allclose(rotations[:, 1], [0, 1, 0], atol=1e-6):
        return None
    return np.rad2deg(np.arctan2(rotations[:, 0, 2], rotations[:, 0, 0]))


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


@contextmanager
def damage_reported(where: Path) -> Iterator[None]:
    """Turn whatever a library raises on reading a broken file or folder into a BenchsuiteError that names it."""
    try:
        yield
    except UNREADABLE as error:
        raise BenchsuiteError(f"{where}: damaged, or not a whole tilt series ({type(error).__name__}: {error})") from error


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a name beside a file or folder to write under; it takes the target's name on leaving without an exception.

    Otherwise what was written is deleted. Raises StoreError where the disk refuses.
    """
    temporary = temporary_name(target)
    try:
        with clear_disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            for path in [*temporary.rglob("*"), temporary] if temporary.is_dir() else [temporary]:
                fsync_path(path)
            _publish(temporary, target)
    except (OSError, RuntimeError) as error:
        raise StoreError(f"cannot write {target}: {error}; nothing half-written was left under that name") from error
    finally:
        _remove(temporary)


def _publish(temporary: Path, target: Path) -> None:
    old = temporary_name(target)
    if target.is_dir():
        os.rename(target, old)
    os.replace(temporary, target)
    fsync_path(target.parent)
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def description(series: TiltSeries) -> dict[str, Any]:
    """All of a series but its images, with every number a float."""
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
            "focal_plane": optics.focal_plane,
        },
    }
