"""What a fit of atoms costs, before it begins."""

from __future__ import annotations

import math

from benchsuite.contract.plug import Cost
from benchsuite.data import Grid
from benchsuite.reconstructors.costs import (
    CACHE_BYTES,
    ORBITAL_BYTES,
    ORBITAL_S,
    PROBE_PLANE_S,
    SLICE_BYTES,
    TRANSFORM_S,
    multislice_pixels,
)
from benchsuite.reconstructors.lot.params import LOTParams
from benchsuite.reconstructors.lot.plan import WEIGHT_ITERATIONS, gathering_iterations, pattern_plan

SELECTION_PASSES, CURVATURE_PASSES = 4.0, 1.2  # cost of a model selection and of the curvature, in passes over the patterns
ATOMS_PER_A3 = 0.06


def pattern_cost(params: LOTParams, series_shape: tuple[int, ...], grid: Grid) -> Cost:
    """Predict the cost of a fit to diffraction patterns."""
    tilts, foci, ny, nx, qy, qx = series_shape
    probes, seconds, pixels = tilts * foci * ny * nx, 0.0, 0.0
    for step in pattern_plan(params):
        slices = max(1, math.ceil(grid.shape[0] * grid.voxel_A / params.slice_A - 1e-6))
        transforms = multislice_pixels(slices, params.window_A, grid.voxel_A / step.oversampling, step.oversampling * max(qy, qx))
        passes = 1 + CURVATURE_PASSES * step.measure_curvature + SELECTION_PASSES * step.select_atoms
        seconds += passes * TRANSFORM_S * probes * transforms
        pixels = float(slices * step.oversampling**2 * grid.shape[1] * grid.shape[2])
    return Cost(4.0 + seconds, 1.5e8 + SLICE_BYTES * pixels + 9.0 * ny * nx * qy * qx)


def image_cost(params: LOTParams, series_shape: tuple[int, ...], grid: Grid) -> Cost:
    """Predict the cost of a fit to images, of a particle that fills most of the field."""
    p, images = params, math.prod(series_shape[:2])
    ny, nx = series_shape[2:4]
    field_A = max(ny, nx) * grid.voxel_A  # of voxels as wide as the scan step
    particle = 0.35 * field_A**3  # Å³: a sphere of most of the field
    atoms, blobs = ATOMS_PER_A3 * particle, particle / p.grid_A**3
    pixels = 4.0 * ny * nx
    slices = 0.0 if p.interaction == "direct" else 0.85 * field_A / p.slice_A
    transforms = PROBE_PLANE_S * (slices + 1) * pixels * math.log2(pixels) * (1 if 4 * pixels < CACHE_BYTES else 2)
    early = WEIGHT_ITERATIONS + 2 if p.start == "grid" else 0
    iterations = (gathering_iterations() if p.start == "grid" else 0) + p.iterations + 0.5
    with_probes = p.iterations / 3 if p.interaction == "adaptive" else 0.0  # which take half as long again
    seconds = images * ((iterations + with_probes) * transforms + ORBITAL_S * (early * blobs + (iterations - early) * atoms))
    held = ORBITAL_BYTES * (blobs if p.start == "grid" else atoms) + 12.0 * images * ny * nx
    stacks = {"direct": 0, "rigid": series_shape[1] + 1, "adaptive": series_shape[1] + 3}[p.interaction]
    return Cost(1.0 + seconds, 1e8 + held + 4.0 * pixels * slices * stacks)
