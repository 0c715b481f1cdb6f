"""A still picture of atoms in three dimensions, for print and for browsers without scripts: spheres with a depth buffer, in numpy.

Drawn as assets/atoms_view.js first shows them, within milliseconds: a page for each of a thousand cells has one.
"""

from __future__ import annotations

import numpy as np

from benchsuite.reports.pages.atoms import FALSE, MISCLASSIFIED, MISSED, NON_ATOM, OUTCOMES, RADIUS_A, Scene

OBLIQUE = np.array([[0.88, 0.0, -0.48], [-0.17, 0.94, -0.31], [0.45, 0.35, 0.82]])  # rows: right, up, towards the reader
SIDE = 420
LIGHT = np.array([-0.4, 0.5, 0.77])
LARGER = 1.25  # radius of false positives and missed atoms, which must not be lost among the others


def still(atoms: Scene) -> np.ndarray:
    """Return a picture (SIDE, SIDE, 3) of bytes, coloured by outcome, non-atoms left out."""
    kept = atoms.outcome != NON_ATOM
    positions, outcome = atoms.positions_A[kept] @ OBLIQUE.T, atoms.outcome[kept]
    reach = float(np.linalg.norm(positions, axis=1).max(initial=1.0)) + 1.5
    pixels = 0.46 * SIDE / reach
    picture = np.full((SIDE, SIDE, 3), 255, np.uint8)
    nearest = np.full((SIDE, SIDE), -np.inf, np.float32)
    stamps = {code: _stamp(code, pixels) for code in np.unique(outcome).tolist()}
    corners = np.round(SIDE / 2 + pixels * positions[:, :2] * (1, -1)).astype(np.int64)
    for (column, row), depth, code in zip(corners.tolist(), positions[:, 2].tolist(), outcome.tolist(), strict=True):
        ink, height = stamps[code]
        half = len(height) // 2
        box = slice(row - half, row + half + 1), slice(column - half, column + half + 1)
        front = height + depth > nearest[box]
        nearest[box][front] = height[front] + depth
        picture[box][front] = ink[front]
    return picture


def _stamp(code: int, pixels: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the symbol of an outcome: its colours (n, n, 3) of bytes and heights in Å (n, n), −inf where it has no ink."""
    radius_A = RADIUS_A * (LARGER if code in (FALSE, MISSED) else 1.0)
    half = max(1, int(np.ceil(radius_A * pixels)))
    steps = np.arange(-half, half + 1) / (radius_A * pixels)
    ink = np.zeros((len(steps), len(steps), 3), np.uint8)
    height = np.full((len(steps), len(steps)), -np.inf, np.float32)
    color = OUTCOMES[code][1]
    tint = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], np.float64)
    for row, y in enumerate(-steps):
        for column, x in enumerate(steps):
            found = _ink(float(x), float(y), code, tint)
            if found is not None:
                ink[row, column], height[row, column] = found[0], found[1] * radius_A
    return ink, height


def _ink(x: float, y: float, code: int, tint: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Return (colour, height in radii) of a symbol at a place inside the unit circle; None where it has no ink."""
    from_centre = x * x + y * y
    if code == FALSE:  # a diamond
        shade = 1.0 if x + y > 0 else 0.72
        return ((tint * shade).astype(np.uint8), 0.5) if abs(x) + abs(y) <= 1 else None
    if from_centre > 1:
        return None
    if code == MISSED:  # a ring
        return (tint.astype(np.uint8), 0.5) if from_centre >= 0.45 else None
    height = float(np.sqrt(1 - from_centre))
    if code == MISCLASSIFIED and from_centre < 0.14:
        return np.full(3, 20, np.uint8), height
    normal = np.array([x, y, height])
    ink = tint * (0.45 + 0.55 * max(0.0, float(normal @ LIGHT))) + 64 * max(0.0, float(normal @ (-0.3, 0.4, 0.87))) ** 24
    return np.minimum(ink, 255).astype(np.uint8), height
