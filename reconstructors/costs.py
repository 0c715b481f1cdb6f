"""Times per unit of work on one core of the reference machine, as they were measured, and what methods of several kinds share.

Predictions are for `plan`: which cells take minutes and which take hours, and what fits in memory.
"""

from __future__ import annotations

import math

from benchsuite.physics.multislice.waves import window_pixels

PROJECTION_S = 5e-9  # per voxel and tilt: one projection and one adjoint
DESCENT_S = 2.5e-8  # per voxel and iteration: the step of a projected gradient
BLURRED_DESCENT_S = 1.6e-7  # per voxel and iteration: the same with two Gaussian blurs
ALIGNED_DESCENT_S = 1.2e-8  # per voxel, tilt and iteration: with blurred images and shifts and angles eliminated
MASK_DESCENT_S = 1e-8  # per coarse voxel, tilt and iteration: projected gradients and the projection of the mask
FOURIER_VOXEL_S = 1.2e-8  # per voxel of the padded half spectrum and iteration: both transforms, or the gridding of one image
PATCH_S = 2.5e-7  # per pixel and pixel of the search window: non-local means
TRANSFORM_S = 1.85e-10  # per pixel and log2(pixels along a side) of a multislice transform, with the products between transforms
VOLUME_STEP_S = 1.0e-8  # per voxel and update: turning the volume, the transmission functions, and the step
SLICE_STEP_S = 8.0e-8  # per pixel of a slice and step: transmission functions, the filter in depth, and the step
PROBE_PLANE_S = 4.0e-10  # per fine pixel and its log2, slice and image: both transforms of local orbitals and their products
CACHE_BYTES = 8e6  # planes beyond it are transformed half as fast
ORBITAL_S = 6.0e-7  # per orbital and image: drawing it, and gathering its gradient
ORBITAL_BYTES = 1000.0  # per orbital, with gradients, averages and the search for neighbours
SLICE_BYTES = 250.0  # per pixel of a slice of atoms on all its grids


def multislice_pixels(slices: int, window_A: float | None, voxel_A: float, field: int) -> float:
    """Return the pixels × log2 of all transforms that the gradient of one probe takes, `field` pixels along the detector."""
    window = window_pixels(window_A, voxel_A, field)
    return 4 * slices * window**2 * math.log2(window) + 6 * field**2 * math.log2(field)
