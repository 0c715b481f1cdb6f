"""What all methods for projections do with a tilt series before they start: check it, and bring its images to the device."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from benchsuite.contract.algorithm import Context
from benchsuite.data import Modality, TiltSeries
from benchsuite.physics.backend import Array
from benchsuite.physics.projection.projector import Projector
from benchsuite.physics.rotations import is_rotation

PROJECTIONS: tuple[Modality, ...] = ("adf", "phase")


def reason_to_skip(name: str, series: TiltSeries) -> str | None:
    """Return why an algorithm of this name cannot use the series, or None: wrong modality, no images, bad numbers."""
    if series.modality not in PROJECTIONS:
        return f"{name} takes {' or '.join(PROJECTIONS)} series, not {series.modality}"
    if series.data.size == 0:
        return f"{name} needs at least one image, the series has shape {series.data.shape}"
    for tilt, images in enumerate(series.data):
        finite = np.isfinite(images)
        if not finite.all():
            return f"{name} needs finite images: tilt {tilt} has {np.count_nonzero(~finite)} values that are nan or infinite"
    for tilt, matrix in enumerate(series.rotations):
        if not (np.isfinite(matrix).all() and is_rotation(matrix, tolerance=1e-4)):
            return f"{name} needs proper rotations (orthogonal, determinant 1): that of tilt {tilt} is not"
    return None


def reason_without_sum(name: str, series: TiltSeries) -> str | None:
    """Return why an algorithm that compares what images add up to cannot use the series, or None."""
    sums = series.data.sum(axis=(1, 2, 3), dtype=np.float64)
    if (sums > 0).all():
        return None
    return f"{name} needs images with a positive sum: that of tilt {int(sums.argmin())} is {sums.min():.3g}"


def projections(series: TiltSeries, xp: ModuleType) -> Array:
    """Return the images (n_tilt, ny, nx) float32 on the device; a focal series is averaged over its focus values.

    For a least-squares fit of one image per tilt, the average has the same minimum as all focus images together.
    """
    if series.data.shape[1] == 1:
        images = series.data[:, 0]
    else:
        images = series.data.mean(axis=1, dtype=np.float64)
    return xp.asarray(np.ascontiguousarray(images, dtype=np.float32))


def projector_of(series: TiltSeries, context: Context, subvoxels: int = 1) -> Projector:
    """Return the projections of a volume on the grid of a reconstruction to the images of a series."""
    positions, step_A = series.scan_shape, series.scan_step_A
    return Projector(series.rotations, context.grid, positions, step_A, context.xp, subvoxels=subvoxels, threads=context.threads)
