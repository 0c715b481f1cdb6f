"""Alpha shapes: the surface of a set of points, without convexity.

The solid is the union of the Delaunay tetrahedra of circumradius at most α, with its voids filled: whatever cannot be reached
from outside through larger tetrahedra belongs to it (Edelsbrunner & Mücke, ACM Trans. Graph. 13 (1994) 43,
doi:10.1145/174462.156635). α → ∞ gives the convex hull.
"""

from __future__ import annotations

import numpy as np


def surface_points(points: np.ndarray, alpha: float) -> np.ndarray:
    """Return the sorted indices of the points (n, 3) on the surface of the alpha shape, loose points included.

    Points that span no volume (fewer than 4, or all in one plane) are all surface.
    """
    mesh = _delaunay(points)
    if mesh is None:
        return np.arange(len(points))
    simplices, neighbours = mesh
    solid = _solid(points, simplices, neighbours, alpha)
    loose = np.setdiff1d(np.arange(len(points)), simplices[solid])
    found = [loose]
    for corner in range(4):
        beyond = neighbours[:, corner]
        exposed = solid & ((beyond < 0) | ~solid[beyond])
        found.append(np.delete(simplices[exposed], corner, axis=1).ravel())
    return np.unique(np.concatenate(found))


def volume(points: np.ndarray, alpha: float) -> float:
    """Return the volume enclosed by the alpha shape of points (n, 3); 0 for points that span none."""
    mesh = _delaunay(points)
    if mesh is None:
        return 0.0
    simplices, neighbours = mesh
    tetrahedra = points[simplices[_solid(points, simplices, neighbours, alpha)]]
    return float(np.abs(np.linalg.det(tetrahedra[:, 1:] - tetrahedra[:, :1])).sum() / 6)


def circumradii(tetrahedra: np.ndarray) -> np.ndarray:
    """Return the (n,) circumradii of (n, 4, 3) tetrahedra; inf for flat ones."""
    edges = tetrahedra[:, 1:] - tetrahedra[:, :1]
    flat = np.abs(np.linalg.det(edges)) < 1e-9
    edges = np.where(flat[:, None, None], np.eye(3), edges)
    centres = np.linalg.solve(edges, 0.5 * (edges**2).sum(axis=2)[..., None])[..., 0]
    return np.where(flat, np.inf, np.linalg.norm(centres, axis=1))


def _delaunay(points: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return tetrahedra (m, 4) and, for each, the neighbours opposite its corners (m, 4), −1 for none; or None."""
    from scipy.spatial import Delaunay, QhullError

    if len(points) < 4:
        return None
    try:
        mesh = Delaunay(points)
    except QhullError:  # all in one plane
        return None
    return mesh.simplices, mesh.neighbors


def _solid(points: np.ndarray, simplices: np.ndarray, neighbours: np.ndarray, alpha: float) -> np.ndarray:
    """Return the mask (m,) of tetrahedra that cannot be reached from outside through tetrahedra wider than alpha."""
    wide = circumradii(points[simplices]) > alpha if np.isfinite(alpha) else np.zeros(len(simplices), dtype=bool)
    reached = np.zeros(len(simplices), dtype=bool)
    front = wide & (neighbours < 0).any(axis=1)
    while front.any():
        reached |= front
        beside = neighbours[front]
        front = np.zeros_like(reached)
        front[beside[beside >= 0]] = True
        front &= wide & ~reached
    return ~reached
