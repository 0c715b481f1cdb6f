"""Atoms from a volume: local maxima, brightest first and no two too close, then a sub-voxel fit of each.

1. The volume is smoothed by a Gaussian (`blur_A`) and its local maxima in 3×3×3 voxels are listed.
2. From the brightest down, a maximum is kept if no kept one is nearer than the minimum distance. Those below `threshold` times the
   strongest (mean of the ten brightest) are dropped.
3. Each is refined to a sub-voxel position (`peak_fit`), then the distance rule is applied once more.
4. With `search_residual` the fitted Gaussians are subtracted and the rest is searched again, for weak atoms beside strong
   ones (Yang et al., Nature 542 (2017) 75, doi:10.1038/nature21042). A find counts where it exceeds the threshold and
   stands out of the residual by five robust standard deviations. All atoms are then fitted together.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from ase import Atoms

from benchsuite.data import Volume
from benchsuite.metrics.tracing.peak_fit import gaussian, parabola, polynomial, subtract
from benchsuite.physics.statistics import robust_deviation

STRONGEST_PEAKS = 10
RESIDUAL_SIGMAS = 5.0

PeakFit = Literal["parabola", "polynomial", "gaussian"]


def trace_atoms(
    volume: Volume,
    *,
    blur_A: float = 0.4,
    minimum_distance_A: float = 2.0,
    threshold: float = 0.05,
    peak_fit: PeakFit = "parabola",
    search_residual: bool = False,
) -> Atoms:
    """Return the traced atoms, brightest first: symbols "X", positions in Å, array `peak` (height in the smoothed volume)."""
    from scipy.ndimage import gaussian_filter

    data = gaussian_filter(volume.data.astype(np.float32), blur_A / volume.voxel_A, mode="constant")
    distance = minimum_distance_A / volume.voxel_A
    voxels = local_maxima(data)
    heights = data[tuple(voxels.T)]
    level = threshold * float(np.sort(heights)[-STRONGEST_PEAKS:].mean()) if len(heights) else 0.0
    voxels = voxels[heights > level]
    voxels = voxels[keep_apart(voxels, data[tuple(voxels.T)], distance)]
    centres = refine(data, voxels, peak_fit, distance)
    if search_residual and len(centres):
        more = weak_peaks(data, centres, distance, level)
        centres = refine(data, np.concatenate([np.rint(centres).astype(int), more]), peak_fit, distance)
    peaks = values_at(data, centres)
    kept = keep_apart(centres, peaks, distance)
    atoms = Atoms(["X"] * len(kept), volume.grid.positions(centres[kept]))
    atoms.set_array("peak", peaks[kept])
    return atoms


def local_maxima(data: np.ndarray) -> np.ndarray:
    """Return (n, 3) indices of positive voxels that exceed their 26 neighbours (or equal them), away from the border."""
    from scipy.ndimage import maximum_filter

    highest = (data == maximum_filter(data, size=3, mode="constant")) & (data > 0)
    for axis in range(3):
        edge = [slice(None)] * 3
        for end in (0, -1):
            edge[axis] = end  # type: ignore[call-overload]
            highest[tuple(edge)] = False
    return np.argwhere(highest)


def keep_apart(points: np.ndarray, heights: np.ndarray, distance: float) -> np.ndarray:
    """Return the indices of the points kept, brightest first, when none may be nearer than `distance` to a brighter kept one."""
    from scipy.spatial import cKDTree

    if len(points) == 0:
        return np.empty(0, dtype=int)
    order = np.argsort(-heights, kind="stable")
    neighbours = cKDTree(points).query_ball_point(points, distance * (1 - 1e-9))
    free, kept = np.ones(len(points), dtype=bool), []
    for index in order:
        if free[index]:
            kept.append(index)
            free[neighbours[index]] = False
    return np.array(kept, dtype=int)


def refine(data: np.ndarray, voxels: np.ndarray, peak_fit: PeakFit, distance: float) -> np.ndarray:
    """Return (n, 3) sub-voxel centres of maxima at integer voxels; windows of half the minimum distance."""
    if len(voxels) == 0:
        return np.empty((0, 3))
    start = parabola(data, voxels)
    if peak_fit == "parabola":
        return start
    radius = max(2.0, distance / 2)
    return polynomial(data, start, radius) if peak_fit == "polynomial" else gaussian(data, start, radius).centre


def weak_peaks(data: np.ndarray, centres: np.ndarray, distance: float, level: float) -> np.ndarray:
    """Return (m, 3) voxels of maxima in what is left when the fitted Gaussians are subtracted."""
    model = gaussian(data, centres, max(2.0, distance / 2))
    rest = subtract(data, model)
    found = local_maxima(rest)
    spread = robust_deviation(rest)
    found = found[rest[tuple(found.T)] > max(level, RESIDUAL_SIGMAS * spread)]
    far = keep_apart(
        np.concatenate([centres, found]), np.concatenate([np.full(len(centres), np.inf), rest[tuple(found.T)]]), distance
    )
    return found[far[far >= len(centres)] - len(centres)]


def values_at(data: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return (n,) values of the volume at fractional indices (n, 3), by cubic interpolation."""
    from scipy.ndimage import map_coordinates

    return map_coordinates(data, centres.T, order=3, mode="constant").astype(np.float64) if len(centres) else np.empty(0)
