"""Rotation matrices from what a scenario, a data file, or a file of angles, Euler angles or matrices states."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.errors import BenchsuiteError
from benchsuite.measured.checks import KeyedError, damage_reported, regular_file
from benchsuite.measured.settings import TiltsOfFile
from benchsuite.physics.rotations import euler, is_rotation, rotation, single_axis

BESIDE = (".rawtlt", ".tlt")
TEXT_SUFFIXES = (".rawtlt", ".tlt", ".txt", ".csv")
MAX_BYTES = 10_000_000
MAX_ANGLE_DEG = 360.0
MATRIX_TOLERANCE = 1e-3  # of a text file with few digits; what is nearer is made orthogonal


def file_of_tilts(tilting: TiltsOfFile, data: Path | None, metadata: Mapping[str, Any]) -> Path | None:
    """Return the file that holds the tilts: the one named, or one beside a data file that holds none itself."""
    if tilting.file is not None:
        return regular_file(Path(tilting.file), "series.tilts.file")
    if tilting.angles_deg is not None or "rotations" in metadata or "angles_deg" in metadata or data is None:
        return None
    return next((file for suffix in BESIDE if (file := data.with_suffix(suffix)).is_file()), None)


def measured_rotations(tilting: TiltsOfFile, file: Path | None, metadata: Mapping[str, Any], tilts: int) -> np.ndarray:
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
    if "angles_deg" in metadata:
        return _of_angles(tilting, np.array(metadata["angles_deg"]), key, "the files", tilts)
    if "rotations" not in metadata:
        raise KeyedError(key, f"the file does not state them, and there is no {' or '.join(BESIDE)} beside it; give {tilts} angles")
    if tilting != type(tilting)():
        raise KeyedError(key, "the file holds rotations; leave tilts out, or give angles_deg or file")
    return np.asarray(metadata["rotations"], dtype=np.float64)


def _of_angles(tilting: TiltsOfFile, angles: np.ndarray, key: str, where: str, tilts: int) -> np.ndarray:
    if len(angles) != tilts:
        raise KeyedError(key, f"{len(angles)} angles in {where} for {tilts} tilts; allowed: one angle per tilt")
    if np.abs(angles).max(initial=0) > MAX_ANGLE_DEG:
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


def describe_tilts(rotations: np.ndarray) -> str:
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


def read_table(file: Path) -> np.ndarray:
    """Return the numbers of a file, float64, as (n,), (n, columns) or, of NumPy, in their own shape.

    Text: numbers parted by spaces, commas or semicolons; `#` begins a comment; a .csv may have a first line of titles. Raises
    BenchsuiteError with the line of what is no finite number, and for rows of unequal length.
    """
    if file.suffix.lower() == ".npy":
        with damage_reported(file):
            table = np.load(file, allow_pickle=False, mmap_mode="r")
            if table.nbytes > MAX_BYTES or table.dtype.kind not in "fiu":
                raise BenchsuiteError(f"{file}: {table.dtype} of shape {table.shape}; allowed: angles or matrices, real numbers")
            return _finite(np.array(table, dtype=np.float64), file)
    if file.suffix.lower() not in TEXT_SUFFIXES:
        raise BenchsuiteError(f"{file}: tilts can be read from {', '.join((*TEXT_SUFFIXES, '.npy'))}")
    if file.stat().st_size > MAX_BYTES:
        raise BenchsuiteError(f"{file}: {file.stat().st_size:,} bytes; a file of tilts may have at most {MAX_BYTES:,}")
    with damage_reported(file):
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    rows = []
    for number, line in enumerate(lines, 1):
        words = line.split("#")[0].replace(",", " ").replace(";", " ").split()
        try:
            values = [float(word) for word in words]
        except ValueError as error:
            if number == 1 and file.suffix.lower() == ".csv":
                continue
            raise BenchsuiteError(f"{file}:{number}: {line.strip()[:60]!r} is not a row of numbers") from error
        if values:
            rows.append(values)
            if len(values) != len(rows[0]):
                raise BenchsuiteError(f"{file}:{number}: {len(values)} numbers, the first row has {len(rows[0])}")
    if not rows:
        raise BenchsuiteError(f"{file}: holds no numbers")
    table = np.array(rows)
    return _finite(table.ravel() if 1 in table.shape else table, file)


def _finite(table: np.ndarray, file: Path) -> np.ndarray:
    if not np.isfinite(table).all():
        raise BenchsuiteError(f"{file}: NaN or infinite; allowed: finite numbers")
    return table
