"""All that a tilt series holds besides its images, as plain values, and a checksum of it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from benchsuite.data import TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.storage import json_safe


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
