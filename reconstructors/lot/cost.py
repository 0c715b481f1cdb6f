"""What a fit of atoms to diffraction patterns costs, before it begins."""

from __future__ import annotations

import math

from benchsuite.contract.cost import Cost
from benchsuite.data import Grid
from benchsuite.reconstructors.costs import SLICE_BYTES, TRANSFORM_S, multislice_pixels
from benchsuite.reconstructors.lot.params import LOTParams
from benchsuite.reconstructors.lot.pattern_schedule import turns

CENSUS_SWEEPS, CURVATURE_SWEEPS = 4.0, 1.2  # what births and deaths, and the curvature, cost beside a sweep


def pattern_cost(params: LOTParams, series_shape: tuple[int, ...], grid: Grid) -> Cost:
    """Predict seconds on one core and bytes."""
    tilts, foci, ny, nx, qy, qx = series_shape
    probes, seconds, pixels = tilts * foci * ny * nx, 0.0, 0.0
    for turn in turns(params):
        slices = max(1, math.ceil(grid.shape[0] * grid.voxel_A / params.slice_A - 1e-6))
        transforms = multislice_pixels(slices, params.window_A, grid.voxel_A / turn.finer, turn.finer * max(qy, qx))
        walks = 1 + CURVATURE_SWEEPS * turn.fresh + CENSUS_SWEEPS * turn.census
        seconds += walks * TRANSFORM_S * probes * transforms
        pixels = float(slices * turn.finer**2 * grid.shape[1] * grid.shape[2])
    return Cost(4.0 + seconds, 1.5e8 + SLICE_BYTES * pixels + 9.0 * ny * nx * qy * qx)
