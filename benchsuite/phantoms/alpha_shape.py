"""Alpha shapes: the surface of a set of points, without convexity.

The Delaunay tetrahedra of circumradius at most α (Edelsbrunner & Mücke, ACM Trans. Graph. 13 (1994) 43,
doi:10.1145/174462.156635). A shrink factor of 0 gives the convex hull, 1 the tightest shape that still is one piece holding
every point; between them α is taken at the quantile 1 − shrink of the circumradii above the tightest.
"""

from __future__ import annotations

import numpy as np


def surface_points(points: np.ndarray, shrink: float) -> np.ndarray:
    """Return the sorted indices of the points on the alpha shape's surface. Fewer than 5 points are all surface."""
    from scipy.spatial import Delaunay

    if len(points) < 5:
        return np.arange(len(points))
    mesh = Delaunay(points)
    radii = circumradii(points[mesh.simplices])
    tightest = _one_piece_alpha(mesh.simplices, mesh.neighbors, radii, len(points))
    wider = np.sort(radii[radii >= tightest])
    alpha = wider[min(len(wider) - 1, int((1 - shrink) * len(wider)))]
    kept = mesh.simplices[radii <= alpha]
    facets = np.sort(np.concatenate([np.delete(kept, corner, axis=1) for corner in range(4)]), axis=1)
    unique, count = np.unique(facets, axis=0, return_counts=True)
    return np.unique(unique[count == 1])


def circumradii(tetrahedra: np.ndarray) -> np.ndarray:
    """Return the (n,) circumradii of (n, 4, 3) tetrahedra; inf for flat ones."""
    edges = tetrahedra[:, 1:] - tetrahedra[:, :1]
    flat = np.abs(np.linalg.det(edges)) < 1e-9
    edges = np.where(flat[:, None, None], np.eye(3), edges)
    centres = np.linalg.solve(edges, 0.5 * (edges**2).sum(axis=2)[..., None])[..., 0]
    return np.where(flat, np.inf, np.linalg.norm(centres, axis=1))


def _one_piece_alpha(simplices: np.ndarray, neighbours: np.ndarray, radii: np.ndarray, n_points: int) -> float:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    def one_piece(alpha: float) -> bool:
        kept = radii <= alpha
        if len(np.unique(simplices[kept])) < n_points:
            return False
        rows, corners = np.nonzero((neighbours >= 0) & kept[:, None])
        targets = neighbours[rows, corners]
        both = kept[targets]
        graph = coo_matrix((np.ones(both.sum()), (rows[both], targets[both])), shape=(len(radii), len(radii)))
        _, labels = connected_components(graph, directed=False)
        return len(np.unique(labels[kept])) == 1

    candidates = np.unique(radii)
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if one_piece(candidates[middle]) else (middle + 1, high)
    return float(candidates[low])
