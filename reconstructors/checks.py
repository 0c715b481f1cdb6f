"""What methods do with a tilt series before they start: check its images or patterns, and bring images to the device."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from benchsuite.contract.algorithm import Context
from benchsuite.data import Modality, TiltSeries
from benchsuite.physics.backend import Array
from benchsuite.physics.electrons import wavelength_A
from benchsuite.physics.probe import AIRY_RADIUS
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


def reason_to_skip_patterns(name: str, series: TiltSeries) -> str | None:
    """Return why an algorithm of this name cannot use the series, or None: wrong modality, calibrations, bad numbers."""
    if series.modality != "4dstem":
        return f"{name} takes 4dstem series, not {series.modality}"
    if 0 in series.data.shape:
        return f"{name} needs at least one pattern, the series has shape {tuple(series.data.shape)}"
    if series.reciprocal_step_per_A is None or not series.reciprocal_step_per_A > 0:
        return f"{name} needs the reciprocal step of the patterns, not {series.reciprocal_step_per_A}"
    for tilt, matrix in enumerate(series.rotations):
        if not (np.isfinite(matrix).all() and is_rotation(matrix, tolerance=1e-4)):
            return f"{name} needs proper rotations (orthogonal, determinant 1): that of tilt {tilt} is not"
    for tilt in range(len(series.data)):
        patterns = np.asarray(series.data[tilt])
        if not np.isfinite(patterns).all():
            wrong = np.count_nonzero(~np.isfinite(patterns))
            return f"{name} needs finite patterns: tilt {tilt} has {wrong} values that are nan or infinite"
        if patterns.min() < 0:
            return f"{name} needs intensities: tilt {tilt} has {np.count_nonzero(patterns < 0)} negative values"
    return None


def reason_of_sparse_scan(name: str, series: TiltSeries) -> str | None:
    """Why the probes of a scan tell nothing of the phases between them, or None."""
    semiangle = series.optics.semiangle_mrad * 1e-3
    radius = semiangle * float(np.abs(series.defocus_A).max()) + AIRY_RADIUS * wavelength_A(series.optics.energy_keV) / semiangle
    if series.scan_step_A < 2 * radius:
        return None
    return (
        f"{name} needs probes that overlap: steps of {series.scan_step_A:g} Å, but probes of {2 * radius:.2f} Å; take smaller steps"
    )


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
