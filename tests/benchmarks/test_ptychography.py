"""Multislice ptychography of one desk tilt: a sweep against the FFTs in it, and the whole reconstruction, on one core.

The scan of `scenarios/mspt_2025/stack.yaml`: 32×32 positions 0.8 Å apart, patterns of 64², three slices of 3 nm.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchsuite.contract import Context
from benchsuite.data import Grid, Optics, TiltSeries
from benchsuite.physics.fft import fftw
from benchsuite.physics.multislice.series_model import SeriesModel
from benchsuite.reconstructors.ptychography.msp import MSP, MSPParams
from benchsuite.reconstructors.ptychography.ptychography import REFINE_FROM, Ptychography
from tests.benchmarks.test_multislice import _patient_plan, _transforms

SIDE, SCAN, PIXEL_A, STEP_A, SLICES = 64, 32, 0.4, 0.8, 3
ROUNDS = 60


@pytest.fixture(autouse=True)
def one_core(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


GRID = Grid((200, SIDE, SIDE), PIXEL_A)


def context() -> Context:
    return Context(GRID, np.random.default_rng(0))


@pytest.fixture(scope="module")
def series() -> TiltSeries:
    """Patterns that the model makes of atoms in the first and the last slice."""
    empty = np.zeros((1, 1, SCAN, SCAN, SIDE, SIDE), np.float32)
    step = 1 / (SIDE * PIXEL_A)
    dark = TiltSeries("4dstem", empty, np.eye(3)[None], STEP_A, Optics(300.0, 25.0), np.array([-100.0]), reciprocal_step_per_A=step)
    model = SeriesModel(dark, GRID, MSPParams(slices=SLICES).discretisation())
    y, x = np.mgrid[:SIDE, :SIDE] * PIXEL_A
    phase, rng = np.zeros((SLICES, SIDE, SIDE), np.float32), np.random.default_rng(0)
    for plane in phase[::2]:
        for across, down in rng.uniform(4, 21, (30, 2)):
            plane += 0.6 * np.exp(-((x - across) ** 2 + (y - down) ** 2) / (2 * 0.35**2)).astype(np.float32)
    patterns = np.fft.fftshift(model.through(0, 0, model.kernel.transmission(phase)), axes=(1, 2))
    return replace(dark, data=patterns.reshape(empty.shape).astype(np.float32))


def fit(series: TiltSeries, **more: Any) -> Ptychography:
    params = MSPParams(slices=SLICES, **more)
    return Ptychography(SeriesModel(series, GRID, params.discretisation()), params.settings(), np.random.default_rng(1))


def least_seconds(fit: Ptychography, modes: int) -> tuple[float, float]:
    """Return the least time of every batch of a sweep, and of its FFTs in between, added up: what others do to the core falls out.

    Transforms per probe and mode: between slices two on the way there and two back, and one each at the detector.
    """
    count = fit.model.probe_count
    batches = np.array_split(np.random.default_rng(0).permutation(count), round(count / fit.settings.batch))
    array = fftw.aligned((SIDE, SIDE))
    plans = (fftw.plan_2d(SIDE, fftw.FORWARD), _patient_plan(array))
    ours, bound = np.full((2, len(batches)), np.inf)
    for turn in range(ROUNDS):
        for number, some in enumerate(batches):
            transforms = len(some) * modes * (4 * (SLICES - 1) + 2)
            bound[number] = min(
                bound[number], _seconds(_transforms, fftw.executor(), plans[turn % 2], array.ctypes.data, transforms)
            )
            ours[number] = min(ours[number], _seconds(fit.batch, some, 1e-3, fit.refinement.wanted))
    return float(ours.sum()), float(bound.sum())


def _seconds(function: Any, *arguments: Any) -> float:
    started = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - started


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"refine_probe": False},
        {"loss": "poisson"},
        {"layers": 1.0},
        {"refine_positions": True},
        {"modes": 3},
    ],
    ids=lambda more: ",".join(map(str, more.items())) or "default",
)
def test_sweep_against_the_fft_bound(benchmark, series, more):
    """Everything in it: batches, steps, and the refinement of probe and positions. Default: probe refined, amplitudes."""
    under_way = fit(series, **more)
    sweeps = under_way.run()
    for _ in range(REFINE_FROM):
        next(sweeps)
    benchmark.pedantic(next, args=(sweeps,), rounds=5, iterations=1)
    ours, bound = least_seconds(under_way, more.get("modes", 1))
    benchmark.extra_info["fraction_of_fft_bound"] = round(bound / ours, 3)
    benchmark.extra_info["microseconds_per_probe"] = round(1e6 * ours / under_way.model.probe_count, 1)


def test_reconstruction_at_desk_scale(benchmark, series):
    """60 sweeps with the probe refined, and the extras; asked for 20 s."""
    benchmark.pedantic(lambda: list(MSP(MSPParams(slices=SLICES)).reconstruct(series, context())), rounds=1, iterations=1)
