"""From what a user and a data file say about tilts to rotation matrices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.errors import BenchsuiteError
from benchsuite.measured.checks import KeyedError, regular_file
from benchsuite.measured.settings import TiltsOfFile
from benchsuite.measured.tilt_files import read_table
from benchsuite.physics.rotations import euler, is_rotation, rotation, single_axis

BESIDE = (".rawtlt", ".tlt")
LARGEST_DEG = 360.0
MATRIX_TOLERANCE = 1e-3  # of a text file with few digits; what is nearer is made orthogonal


def file_of_tilts(tilting: TiltsOfFile, data: Path | None, facts: Mapping[str, Any]) -> Path | None:
    """Return the file that holds the tilts: the one named, or one beside a data file that holds none itself."""
    if tilting.file is not None:
        return regular_file(Path(tilting.file), "series.tilts.file")
    if tilting.angles_deg is not None or "rotations" in facts or "angles_deg" in facts or data is None:
        return None
    return next((file for suffix in BESIDE if (file := data.with_suffix(suffix)).is_file()), None)


def measured_rotations(tilting: TiltsOfFile, file: Path | None, facts: Mapping[str, Any], tilts: int) -> np.ndarray:
    """Return the (n, 3, 3) rotations of a series of that many tilts. Raises KeyedError where there are others, or none."""
    key = "series.tilts"
    if tilting.angles_deg is not None:
        return _of_angles(tilting, np.array(tilting.angles_deg), key, "angles_deg", tilts)
    if file is not None:
        key = "series.tilts.file" if tilting.file is not None else key
        try:
            table = read_table(file)
        except BenchsuiteError as error:
            raise KeyedError(key, str(error)) from error
        return _of_table(tilting, table, key, file, tilts)
    if "angles_deg" in facts:
        return _of_angles(tilting, np.array(facts["angles_deg"]), key, "the files", tilts)
    if "rotations" not in facts:
        raise KeyedError(key, f"the file does not tell them, and there is no {' or '.join(BESIDE)} beside it; give {tilts} angles")
    if tilting != type(tilting)():
        raise KeyedError(key, "the file holds rotations of its own; leave tilts out, or give angles_deg or file")
    return np.asarray(facts["rotations"], dtype=np.float64)


def _of_angles(tilting: TiltsOfFile, angles: np.ndarray, key: str, where: str, tilts: int) -> np.ndarray:
    if len(angles) != tilts:
        raise KeyedError(key, f"{len(angles)} angles in {where} for {tilts} tilts; allowed: one angle per tilt")
    if np.abs(angles).max(initial=0) > LARGEST_DEG:
        raise KeyedError(key, f"an angle of {angles[np.abs(angles).argmax()]:g}° in {where}; allowed: −360 to 360, in degrees")
    return single_axis(tilting.sign * angles, tilting.axis)


def _of_table(tilting: TiltsOfFile, table: np.ndarray, key: str, file: Path, tilts: int) -> np.ndarray:
    if table.ndim == 1:
        return _of_angles(tilting, table, key, str(file), tilts)
    if table.shape == (tilts, 3) and tilts != 1:
        matrices = euler(table, tilting.euler_order)
    elif table.size == 9 * tilts and table.shape[-1] in (3, 9):
        matrices = np.stack([_orthogonal(m, key, file, i) for i, m in enumerate(table.reshape(tilts, 3, 3))])
    else:
        raise KeyedError(
            key,
            f"{file}: numbers of shape {table.shape} for {tilts} tilts; allowed: {tilts} angles, {tilts} rows of 3 Euler angles, "
            f"matrices of shape ({tilts}, 3, 3), or rows of 3 or 9 of them",
        )
    return np.ascontiguousarray(matrices.transpose(0, 2, 1)) if tilting.inverse else matrices


def _orthogonal(matrix: np.ndarray, key: str, file: Path, number: int) -> np.ndarray:
    """Return the rotation nearest to a matrix that is one but for the digits it was written with."""
    if is_rotation(matrix, 1e-12):
        return matrix
    if np.linalg.det(matrix) < 0 and np.allclose(matrix @ matrix.T, np.eye(3), atol=MATRIX_TOLERANCE):
        raise KeyedError(key, f"{file}: matrix {number} is improper (determinant −1), a mirror; allowed: rotations, determinant +1")
    if not is_rotation(matrix, MATRIX_TOLERANCE):
        worst = np.abs(matrix @ matrix.T - np.eye(3)).max()
        raise KeyedError(key, f"{file}: matrix {number} is not orthogonal (by {worst:.2g}); allowed: rotations, R Rᵀ = 1")
    u, _, vt = np.linalg.svd(matrix)
    return u @ vt


def told_tilts(rotations: np.ndarray) -> str:
    """Return the tilts in words: how many, and over which range about which axis of the laboratory."""
    for axis in "yx":
        angles = angles_about(rotations, axis)
        if angles is not None:
            return f"{len(rotations)} tilts from {angles.min():g}° to {angles.max():g}° about {axis}"
    return f"{len(rotations)} tilts about several axes"


def angles_about(rotations: np.ndarray, axis: str) -> np.ndarray | None:
    """Return the (n,) angles in degrees, rounded to 10⁻⁶, of rotations about "x" or "y", or None if they are about another axis."""
    i, j = {"y": (0, 2), "x": (2, 1)}[axis]
    angles = np.rad2deg(np.arctan2(rotations[:, i, j], rotations[:, i, i]))
    exact = np.stack([rotation(axis, angle) for angle in angles])
    return np.round(angles, 6) + 0.0 if np.allclose(exact, rotations, atol=1e-6) else None
