"""Which traced atom is which true atom: one to one, as many pairs as possible, then the least sum of squared distances.

Pairs farther apart than a cut-off (default: half the median nearest-neighbour distance of the truth, at most 1.2 Å) are not
considered. The graph of the others falls into small connected pieces, each solved exactly as an assignment problem. A common
shift, or on request a rigid rotation with it (Kabsch, Acta Cryst. A 32 (1976) 922, doi:10.1107/S0567739476001873, without
reflection), is fitted to the pairs and removed, in turns with the matching.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchsuite.physics.rotations import nearest_rotation

MAX_CUTOFF_A = 1.2
MAX_ITERATIONS = 20


@dataclass(frozen=True)
class Match:
    """Pairs truth_index[k] ~ traced_index[k]. A traced position p is compared as rotation @ p − shift_A with the truth."""

    truth_index: np.ndarray
    traced_index: np.ndarray
    distance_A: np.ndarray
    shift_A: np.ndarray
    rotation: np.ndarray
    cutoff_A: float

    def aligned(self, traced: np.ndarray) -> np.ndarray:
        """Return traced positions (n, 3) with the common motion removed."""
        return traced @ self.rotation.T - self.shift_A


def match(
    truth: np.ndarray, traced: np.ndarray, *, cutoff_A: float | None = None, registration: Literal["shift", "rigid"] = "shift"
) -> Match:
    """Match traced (m, 3) to true (n, 3) positions in Å."""
    cutoff = cutoff_A or default_cutoff(truth)
    rotation, shift = np.eye(3), _coarse_shift(truth, traced, cutoff)
    pairs = assign(truth, traced - shift, cutoff)
    for _ in range(MAX_ITERATIONS):
        if len(pairs[0]) == 0:
            break
        before = pairs
        rotation, shift = _fit(truth[pairs[0]], traced[pairs[1]], registration)
        pairs = assign(truth, traced @ rotation.T - shift, cutoff)
        if all(np.array_equal(a, b) for a, b in zip(before, pairs, strict=True)):
            break
    if len(pairs[0]) == 0:
        rotation, shift = np.eye(3), np.zeros(3)
    distance = np.linalg.norm(truth[pairs[0]] - (traced @ rotation.T - shift)[pairs[1]], axis=1)
    return Match(*pairs, distance, shift, rotation, cutoff)


def default_cutoff(truth: np.ndarray) -> float:
    """Return half the median nearest-neighbour distance in Å, at most 1.2."""
    from scipy.spatial import cKDTree

    if len(truth) < 2:
        return MAX_CUTOFF_A
    return min(MAX_CUTOFF_A, 0.5 * float(np.median(np.asarray(cKDTree(truth).query(truth, k=2)[0])[:, 1])))


def assign(truth: np.ndarray, traced: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (truth indices, traced indices) of the best one-to-one pairs within the cut-off, ordered by truth index."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    nothing = np.empty(0, dtype=int)
    if len(truth) == 0 or len(traced) == 0:
        return nothing, nothing
    near = cKDTree(truth).sparse_distance_matrix(cKDTree(traced), cutoff, output_type="ndarray")
    if len(near) == 0:
        return nothing, nothing
    rows, columns, distance = near["i"], near["j"], near["v"]
    size = len(truth) + len(traced)
    _, piece = connected_components(
        coo_matrix((np.ones(len(rows)), (rows, columns + len(truth))), shape=(size, size)), directed=False
    )
    of_edge = piece[rows]
    alone = np.bincount(of_edge, minlength=piece.max() + 1)[of_edge] == 1
    left, right = [rows[alone]], [columns[alone]]
    order = np.flatnonzero(~alone)[np.argsort(of_edge[~alone], kind="stable")]
    for edges in np.split(order, np.flatnonzero(np.diff(of_edge[order])) + 1) if len(order) else []:
        i, j = _assign_piece(rows[edges], columns[edges], distance[edges], cutoff)
        left.append(i)
        right.append(j)
    i, j = np.concatenate(left), np.concatenate(right)
    sorting = np.argsort(i)
    return i[sorting], j[sorting]


def _assign_piece(rows: np.ndarray, columns: np.ndarray, distance: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    from scipy.optimize import linear_sum_assignment

    left, i = np.unique(rows, return_inverse=True)
    right, j = np.unique(columns, return_inverse=True)
    forbidden = 1.0 + cutoff**2 * (min(len(left), len(right)) + 1)  # dearer than all allowed pairs together
    cost = np.full((len(left), len(right)), forbidden)
    cost[i, j] = distance**2
    a, b = linear_sum_assignment(cost)
    good = cost[a, b] < forbidden
    return left[a[good]], right[b[good]]


def _coarse_shift(truth: np.ndarray, traced: np.ndarray, cutoff: float) -> np.ndarray:
    """Return the shift that brings most atoms near a true one, searched on a grid of half cut-offs up to 1.5 Å.

    Zero wins ties. A shift is scored by the number of true atoms with a traced one within half the cut-off.
    """
    from scipy.spatial import cKDTree

    if len(truth) == 0 or len(traced) == 0:
        return np.zeros(3)
    step = cutoff / 2
    reach = max(1, int(1.5 / step))
    axis = np.arange(-reach, reach + 1) * step
    shifts = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    shifts = shifts[np.argsort((shifts**2).sum(axis=1), kind="stable")]
    sample = truth[np.linspace(0, len(truth) - 1, min(len(truth), 300)).astype(int)]
    tree = cKDTree(traced)
    found = [np.isfinite(tree.query(sample + shift, distance_upper_bound=cutoff / 2)[0]).sum() for shift in shifts]
    return shifts[int(np.argmax(found))] if max(found) > 1.2 * found[0] else np.zeros(3)


def _fit(truth: np.ndarray, traced: np.ndarray, registration: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the rotation and shift with rotation @ traced − shift nearest to the truth."""
    rotation = np.eye(3)
    if registration == "rigid" and len(truth) >= 3:
        rotation = nearest_rotation((truth - truth.mean(axis=0)).T @ (traced - traced.mean(axis=0)))
    return rotation, (traced @ rotation.T - truth).mean(axis=0)
