"""What a fit of atoms to diffraction patterns costs, before it begins."""

from __future__ import annotations

import math

from benchsuite.contract.cost import Cost
from benchsuite.data import Grid
from benchsuite.physics.multislice.waves import window_pixels
from benchsuite.reconstructors.lot.params import LOTParams
from benchsuite.reconstructors.lot.pattern_schedule import turns

TRANSFORM_S = 1.85e-10  # per pixel and log2(pixels along a side) of a transform, as for MSET
CENSUS_SWEEPS, CURVATURE_SWEEPS = 4.0, 1.2  # what births and deaths, and the curvature, cost beside a sweep
SLICE_BYTES = 250.0  # per pixel of a slice on all its grids


def pattern_cost(params: LOTParams, series_shape: tuple[int, ...], grid: Grid) -> Cost:
    """Predict seconds on one core and bytes."""
    tilts, foci, ny, nx, qy, qx = series_shape
    probes, seconds, pixels = tilts * foci * ny * nx, 0.0, 0.0
    for turn in turns(params):
        full, voxel_A = turn.finer * max(qy, qx), grid.voxel_A / turn.finer
        window = window_pixels(params.window_A, voxel_A, full)
        slices = max(1, math.ceil(grid.shape[0] * grid.voxel_A / params.slice_A - 1e-6))
        transforms = 4 * slices * window**2 * math.log2(window) + 6 * full**2 * math.log2(full)
        walks = 1 + CURVATURE_SWEEPS * turn.fresh + CENSUS_SWEEPS * turn.census
        seconds += walks * TRANSFORM_S * probes * transforms
        pixels = float(slices * turn.finer**2 * grid.shape[1] * grid.shape[2])
    return Cost(4.0 + seconds, 1.5e8 + SLICE_BYTES * pixels + 9.0 * ny * nx * qy * qx)
