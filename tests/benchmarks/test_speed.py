"""Speed against its bound: run with `pytest tests/benchmarks --benchmark-only`. Nothing here fails on a wall-clock time."""

from __future__ import annotations

import time

import numpy as np
import pytest

from benchsuite.contract import Context
from benchsuite.data import Grid, Optics, TiltSeries
from benchsuite.metrics.matching.match import match
from benchsuite.physics.backend import fft_threads
from benchsuite.physics.projection.projector import Projector
from benchsuite.physics.rotations import single_axis, tilt_angles
from benchsuite.reconstructors.genfire import cropped_inverse, padded_shape, padded_transform
from benchsuite.reconstructors.resire import RESIRE, RESIREParams
from benchsuite.reconstructors.solvers.fista import FISTA

SIDE, TILTS = 128, 20
ROTATIONS = single_axis(tilt_angles(-90, 90, TILTS))
GRID = Grid((SIDE, SIDE, SIDE), 0.4)


def gathered_bytes_seconds() -> float:
    """Return the time to read and write as many bytes as the pair's gathers and scatters touch.

    Per voxel and tilt: forward reads the voxel and reads and writes four pixels, adjoint reads four pixels and adds to the voxel;
    19 float32 values. Measured by copying a large array with as many threads.
    """
    from concurrent.futures import ThreadPoolExecutor

    size = 64 * 2**20
    source, target = np.ones(size // 4, np.float32), np.empty(size // 4, np.float32)
    halves = [slice(0, size // 8), slice(size // 8, None)]

    def copy(part):
        target[part] = source[part]

    best = np.inf
    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            started = time.perf_counter()
            list(pool.map(copy, halves))
            best = min(best, time.perf_counter() - started)
    return best * (19 * 4 * SIDE**3 * TILTS) / (2 * size)


def test_projector_pair(benchmark):
    projector = Projector(ROTATIONS, GRID, (SIDE, SIDE), 0.4)
    volume = np.random.default_rng(0).random(GRID.shape, np.float32)

    def pair():
        return projector.adjoint(projector.forward(volume))

    pair()
    benchmark.pedantic(pair, rounds=10, warmup_rounds=1)
    bound = gathered_bytes_seconds()
    benchmark.extra_info.update(bound_s=bound, ratio_to_bound=benchmark.stats["median"] / bound)


def test_resire_iteration(benchmark):
    projector = Projector(ROTATIONS, GRID, (SIDE, SIDE), 0.4)
    measured = projector.forward(np.random.default_rng(0).random(GRID.shape, np.float32))
    solver = FISTA(projector, measured, np.zeros(GRID.shape, np.float32), 1e-3)
    benchmark.pedantic(solver.advance, rounds=10, warmup_rounds=1)


def test_resire_desk_scale(benchmark):
    grid = Grid((64, 64, 64), 0.4)
    images = Projector(ROTATIONS, grid, (64, 64), 0.4).forward(np.random.default_rng(0).random(grid.shape, np.float32))
    series = TiltSeries("adf", images[:, None], ROTATIONS, 0.4, Optics(300.0, 21.0), np.zeros(1))
    algorithm = RESIRE(RESIREParams(iterations=50))
    context = Context(grid, np.random.default_rng(0))
    benchmark.pedantic(lambda: list(algorithm.reconstruct(series, context)), rounds=3, warmup_rounds=1)


def test_genfire_iteration(benchmark):
    shape = padded_shape(GRID, 3)
    volume = np.random.default_rng(0).random(GRID.shape, np.float32)

    def iteration():
        with fft_threads(np):
            return cropped_inverse(padded_transform(volume, shape), GRID.shape, shape)

    benchmark.pedantic(iteration, rounds=3, warmup_rounds=1)
    import scipy.fft

    full = np.zeros(shape, np.float32)
    started = time.perf_counter()
    with fft_threads(np):
        scipy.fft.irfftn(scipy.fft.rfftn(full), shape)
    bound = time.perf_counter() - started
    benchmark.extra_info.update(full_fft_pair_s=bound, ratio_to_full_fft_pair=benchmark.stats["median"] / bound)


@pytest.mark.parametrize("count", [10**5, 10**6])
def test_matching(benchmark, count):
    rng = np.random.default_rng(0)
    side = round(count ** (1 / 3))
    axis = np.arange(side) * 2.5
    cells = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    noisy = cells + rng.standard_normal(cells.shape) * 0.2
    benchmark.pedantic(lambda: match(cells, noisy), rounds=1)
