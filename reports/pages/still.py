"""A still picture of atoms in three dimensions, for print and for browsers without scripts: spheres with a depth buffer, in numpy.

Drawn as assets/atoms_view.js first shows them, within milliseconds: a page for each of a thousand cells has one.
"""

from __future__ import annotations

import numpy as np

from reports.pages.atoms import FALSE, MISSING, NON_ATOM, OUTCOMES, RADIUS_A, WRONG, Scene

OBLIQUE = np.array([[0.88, 0.0, -0.48], [-0.17, 0.94, -0.31], [0.45, 0.35, 0.82]])  # rows: right, up, towards the reader
SIDE = 480
LIGHT = np.array([-0.4, 0.5, 0.77])
LARGER = 1.25  # false and missing atoms, which must not be lost among the others


def still(atoms: Scene) -> np.ndarray:
    """Return a picture (SIDE, SIDE, 3) of bytes, coloured by outcome, non-atoms left out."""
    kept = atoms.outcome != NON_ATOM
    positions, outcome = atoms.positions_A[kept] @ OBLIQUE.T, atoms.outcome[kept]
    reach = float(np.linalg.norm(positions, axis=1).max(initial=1.0)) + 1.5
    pixels = 0.46 * SIDE / reach
    picture = np.full((SIDE * SIDE, 3), 255, np.uint8)
    nearest = np.full(SIDE * SIDE, -np.inf, np.float32)
    spots = []
    for code, (_, color) in enumerate(OUTCOMES):
        of_code = positions[outcome == code]
        if len(of_code):
            size = RADIUS_A * (LARGER if code in (FALSE, MISSING) else 1.0)
            spots += _spots(of_code, pixels, size, code, color)
    for place, depth, _ in spots:
        np.maximum.at(nearest, place, depth)
    for place, depth, ink in spots:
        picture[place[depth == nearest[place]]] = ink
    return picture.reshape(SIDE, SIDE, 3)


def _spots(
    positions: np.ndarray, pixels: float, radius_A: float, code: int, color: str
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return, for each pixel of the symbol, (flat places of all atoms, their depths, the one ink)."""
    reach = max(1, int(np.ceil(radius_A * pixels)))
    columns = np.round(SIDE / 2 + pixels * positions[:, 0]).astype(np.int64)
    rows = np.round(SIDE / 2 - pixels * positions[:, 1]).astype(np.int64)
    tint = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], np.float64)
    spots = []
    for v in range(-reach, reach + 1):
        for u in range(-reach, reach + 1):
            x, y = u / (radius_A * pixels), -v / (radius_A * pixels)
            found = _ink(x, y, code, tint)
            if found is None:
                continue
            ink, height = found
            inside = (columns + u >= 0) & (columns + u < SIDE) & (rows + v >= 0) & (rows + v < SIDE)
            place = (rows[inside] + v) * SIDE + columns[inside] + u
            spots.append((place, (positions[inside, 2] + height * radius_A).astype(np.float32), ink))
    return spots


def _ink(x: float, y: float, code: int, tint: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Return (colour, height in radii) of a symbol at a place inside the unit circle; None where it has no ink."""
    from_centre = x * x + y * y
    if code == FALSE:  # a diamond
        shade = 1.0 if x + y > 0 else 0.72
        return ((tint * shade).astype(np.uint8), 0.5) if abs(x) + abs(y) <= 1 else None
    if from_centre > 1:
        return None
    if code == MISSING:  # a ring
        return (tint.astype(np.uint8), 0.5) if from_centre >= 0.45 else None
    height = float(np.sqrt(1 - from_centre))
    if code == WRONG and from_centre < 0.14:
        return np.full(3, 20, np.uint8), height
    normal = np.array([x, y, height])
    ink = tint * (0.45 + 0.55 * max(0.0, float(normal @ LIGHT))) + 64 * max(0.0, float(normal @ (-0.3, 0.4, 0.87))) ** 24
    return np.minimum(ink, 255).astype(np.uint8), height
