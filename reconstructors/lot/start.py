"""Where local orbitals come from and how many stay: a regular grid, the peaks of a volume; merging and removing.

A regular grid over the particle (Mao, Cui & Yu 2024, supplement) is first fitted by its weights alone, a tomogram of blobs.
Released, its orbitals gather where the atoms are; those that come near one another are merged, those that starve are removed.
"""

from __future__ import annotations

import numpy as np
import psutil

from benchsuite.data import Grid, TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.physics.gaussians.atoms import Orbitals

PARTICLE_BLUR_A = 2.0  # about the distance of neighbouring atoms: closes the gaps between them
PARTICLE_LEVEL = 0.12  # part of the contrast of a blurred image above which it shows the particle
COARSE_SPACING_A = 1.0  # spacing of the grid that measures the volume of the particle
BYTES_PER_ORBITAL = 700  # positions, gradients of all pieces, averages of Adam
STRONG_FRACTION = 0.05  # part of the orbitals whose mean weight is "strong"
PEAK_LEVEL = 0.05  # least height of a peak relative to the strongest ones


def grid_points(series: TiltSeries, spacing_A: float, bytes_each: int = BYTES_PER_ORBITAL) -> np.ndarray:
    """Return (n, 3) points of a regular grid that every image shows within the particle, or outside its field.

    Raises BenchsuiteError, with the numbers, where so many would not fit in memory, and where there is no such point.
    """
    from scipy.ndimage import gaussian_filter

    step = series.scan_step_A
    blurred = gaussian_filter(series.data.mean(axis=1), (0, PARTICLE_BLUR_A / step, PARTICLE_BLUR_A / step))
    low, high = (extreme(blurred, axis=(1, 2), keepdims=True) for extreme in (np.min, np.max))
    bright = blurred > low + PARTICLE_LEVEL * (high - low)
    coarse = _inside(bright, series, max(spacing_A, COARSE_SPACING_A))
    if len(coarse) == 0:
        raise BenchsuiteError("no point of the grid is within the particle in every image: are the rotations those of the images?")
    if spacing_A >= COARSE_SPACING_A:
        return coarse
    count, free = len(coarse) * (COARSE_SPACING_A / spacing_A) ** 3, psutil.virtual_memory().available
    if count * bytes_each > free:
        raise BenchsuiteError(
            f"a grid of {spacing_A:g} Å has about {count:.2g} points, which need {count * bytes_each / 1e9:.1f} GB; "
            f"{free / 1e9:.1f} GB are free: enlarge grid_A, or take start: peaks"
        )
    return _inside(bright, series, spacing_A)


def _inside(bright: np.ndarray, series: TiltSeries, spacing_A: float) -> np.ndarray:
    """Return the points of a cubic grid over the field that fall on bright pixels (n_tilt, ny, nx) or beside every image."""
    (ny, nx), step = series.scan_shape, series.scan_step_A
    last = int(max(ny, nx) * step / 2 / spacing_A)
    axis = np.arange(-last, last + 1) * spacing_A
    x, y = (part.ravel() for part in np.meshgrid(axis, axis))
    found = []
    for z in axis:
        plane = np.stack([x, y, np.full(len(x), z)], axis=1)
        for rotation, image in zip(series.rotations, bright, strict=True):
            column, row = (np.rint((plane @ rotation[k]) / step).astype(int) + n // 2 for k, n in enumerate((nx, ny)))
            seen = (row >= 0) & (row < ny) & (column >= 0) & (column < nx)
            inside = ~seen
            inside[seen] = image[row[seen], column[seen]]
            plane = plane[inside]
        found.append(plane)
    return np.concatenate(found)


def peak_points(volume: np.ndarray, grid: Grid, apart_A: float) -> np.ndarray:
    """Return (n, 3) positions of the local maxima of a volume, none nearer than `apart_A` to a stronger one."""
    from scipy.ndimage import gaussian_filter, maximum_filter

    smooth = gaussian_filter(volume, 0.4 / grid.voxel_A)
    voxels = np.argwhere((smooth == maximum_filter(smooth, size=3)) & (smooth > 0))
    heights = smooth[tuple(voxels.T)]
    chosen = heights > PEAK_LEVEL * strong_weight(heights) if len(heights) else np.empty(0, dtype=bool)
    positions, heights = grid.positions(voxels[chosen]), heights[chosen]
    return merged(Orbitals(positions, heights, np.ones(len(heights))), apart_A, weigh=False).positions


def merged(orbitals: Orbitals, nearer_than_A: float, weigh: bool = True) -> Orbitals:
    """Join pairs nearer than that, the nearest first, until there are none: at their centre of weight (or at the stronger one)."""
    from scipy.spatial import cKDTree

    while len(orbitals) > 1:
        pairs = cKDTree(orbitals.positions).query_pairs(nearer_than_A, output_type="ndarray")
        if len(pairs) == 0:
            break
        distance = np.linalg.norm(orbitals.positions[pairs[:, 0]] - orbitals.positions[pairs[:, 1]], axis=1)
        pairs = pairs[np.argsort(distance, kind="stable")]
        i, j = pairs[_disjoint(pairs, len(orbitals))].T
        positions, weight, width = orbitals.positions.copy(), orbitals.weight.copy(), orbitals.width.copy()
        both = weight[i] + weight[j]
        share = np.divide(weight[i], both, out=np.full(len(i), 0.5), where=both > 0)
        if not weigh:
            share, both = np.rint(share), np.maximum(weight[i], weight[j])
        positions[i] = share[:, None] * positions[i] + (1 - share[:, None]) * positions[j]
        width[i] = share * width[i] + (1 - share) * width[j]
        weight[i] = both
        keep = np.ones(len(orbitals), dtype=bool)
        keep[j] = False
        orbitals = Orbitals(positions, weight, width).kept(keep)
    return orbitals


def _disjoint(pairs: np.ndarray, count: int) -> np.ndarray:
    """Return the indices of pairs in which both partners are free when their turn comes."""
    free, chosen = np.ones(count, dtype=bool), []
    for index, (i, j) in enumerate(pairs.tolist()):
        if free[i] and free[j]:
            free[i] = free[j] = False
            chosen.append(index)
    return np.array(chosen, dtype=int)


def strong(orbitals: Orbitals, fraction: float) -> Orbitals:
    """Return the orbitals whose weight exceeds that fraction of the mean of the strongest."""
    return orbitals.kept(orbitals.weight > fraction * strong_weight(orbitals.weight)) if len(orbitals) else orbitals


def strong_weight(weight: np.ndarray) -> float:
    """Return the mean of the strongest of at least one weight."""
    count = max(1, round(STRONG_FRACTION * len(weight)))
    return float(np.partition(weight, -count)[-count:].mean())


def apart(points: np.ndarray, others: np.ndarray, distance_A: float) -> np.ndarray:
    """Return the points (n, 3) that are farther than that from every one of the others (m, 3)."""
    from scipy.spatial import cKDTree

    return points[np.isinf(cKDTree(others).query(points, distance_upper_bound=distance_A)[0])]


def joined(one: Orbitals, other: Orbitals) -> Orbitals:
    """Return the orbitals of both."""
    return Orbitals(
        np.concatenate([one.positions, other.positions]),
        np.concatenate([one.weight, other.weight]),
        np.concatenate([one.width, other.width]),
    )


def check_seen(points: np.ndarray, series: TiltSeries) -> None:
    """Raise BenchsuiteError where atoms are outside the field of view in every image."""
    half = 0.5 * series.scan_step_A * np.array(series.scan_shape[::-1])
    seen = (np.abs(np.einsum("rij,nj->rni", series.rotations[:, :2], points)) <= half).all(axis=2).any(axis=0)
    if not seen.all():
        lost = points[~seen][0]
        raise BenchsuiteError(
            f"{np.count_nonzero(~seen)} of {len(points)} atoms to refine are outside the field of view of {2 * half[0]:g} Å × "
            f"{2 * half[1]:g} Å in every image, the first at ({', '.join(f'{x:.1f}' for x in lost)}) Å"
        )
