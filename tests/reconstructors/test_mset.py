"""MSET and SSET: updates, losses, refinement, going on after an interruption, and what they refuse."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest

from benchsuite.contract import Context
from benchsuite.contract_suite import CHIRAL_A, small_problem, strongest_peaks
from benchsuite.data import Grid, TiltSeries
from benchsuite.physics.electrons import interaction_per_VA
from benchsuite.physics.multislice.noise_model import Poisson
from benchsuite.physics.multislice.objective import Objective
from benchsuite.physics.multislice.series_model import Discretisation, SeriesModel
from benchsuite.reconstructors.mset import MSET, SSET, MSETParams, SSETParams

FINE = Discretisation(2.0, None, "cubic")


@pytest.fixture
def problem():
    return small_problem("4dstem")


def context(grid, seed=0, **more):
    return Context(grid, np.random.default_rng(seed), **more)


def run(algorithm, series, grid, **more):
    return list(algorithm.reconstruct(series, context(grid, **more)))


def few_tilts(series: TiltSeries, every: int = 3) -> TiltSeries:
    return dataclasses.replace(series, data=series.data[::every], rotations=series.rotations[::every])


def crime(grid, series):
    """A volume of smooth atoms and the patterns that the model itself makes of it (an inverse crime, fit for tests only)."""
    z, y, x = (grid.voxel_A * (np.arange(n) - n // 2) for n in grid.shape)
    phase = np.zeros(grid.shape, np.float32)
    for px, py, pz in CHIRAL_A:
        phase += np.exp(-((x - px) ** 2 + (y[:, None] - py) ** 2 + (z[:, None, None] - pz) ** 2) / (2 * 0.6**2)).astype(np.float32)
    phase *= 0.4
    model = SeriesModel(series, grid, FINE)
    data = np.zeros_like(series.data)
    for tilt in range(len(data)):
        patterns = np.fft.fftshift(model.calculated(tilt, 0, phase), axes=(1, 2))
        data[tilt, 0] = patterns.reshape(data.shape[2:])
    return phase / interaction_per_VA(300), dataclasses.replace(series, data=data)


def test_noiseless_data_of_its_own_model_give_the_potential_back(problem):
    series, grid = problem
    truth, made = crime(grid, series)
    found = run(MSET(MSETParams(slice_A=2.0, iterations=25, loss="amplitude", total_variation=0.0)), made, grid)
    assert found[-1].loss < 1e-3 * found[0].loss
    inside = np.linalg.norm(np.stack(np.meshgrid(*(np.arange(24) - 12,) * 3)), axis=0) < 9
    error = np.linalg.norm((found[-1].volume - truth)[inside]) / np.linalg.norm(truth[inside])
    assert error < 0.15
    assert found[-1].fit.r_factor_per_image.max() < 0.02


def test_the_line_search_never_lets_the_error_rise(problem):
    series, grid = few_tilts(problem[0]), problem[1]
    found = run(MSET(MSETParams(update="paper", slice_A=2.0, iterations=6, paper_step=300.0)), series, grid)
    losses = [item.loss for item in found]
    assert all(later <= earlier for earlier, later in itertools.pairwise(losses))
    assert losses[-1] < losses[0]
    assert any(later == earlier for earlier, later in itertools.pairwise(losses)), "a step of 300 was never refused"


def test_the_paper_update_finds_the_atoms(problem):
    series, grid = problem
    last = run(MSET(MSETParams(update="paper", slice_A=2.0, iterations=12, batch=36)), series, grid)[-1]
    found = strongest_peaks(last.volume, grid, len(CHIRAL_A))
    assert np.linalg.norm(CHIRAL_A[:, None] - found, axis=2).min(axis=1).max() < 0.15


def test_the_fast_update_needs_fewer_sweeps_than_the_paper_update(problem):
    series, grid = problem
    fast = run(MSET(MSETParams(slice_A=2.0, iterations=6, loss="amplitude")), series, grid)[-1]
    paper = run(MSET(MSETParams(slice_A=2.0, iterations=6, update="paper", batch=36)), series, grid)[-1]
    assert fast.fit.r_factor_per_image.mean() < paper.fit.r_factor_per_image.mean()


@pytest.mark.parametrize("params", [{}, {"refine_positions": True, "refine_probe": True}, {"update": "paper", "batch": 36}])
def test_an_interrupted_reconstruction_goes_on_to_the_same_result(problem, params):
    series, grid = few_tilts(problem[0]), problem[1]
    algorithm = MSET(MSETParams(slice_A=3.0, iterations=5, **params))
    whole = run(algorithm, series, grid)
    state = {name: np.array(value) for name, value in whole[2].state.items()}  # of another run: its arrays go on changing
    stopped = []
    for item in algorithm.reconstruct(series, context(grid)):
        stopped.append(item)
        if item.iteration == 3:
            state = {name: np.array(value) for name, value in item.state.items()}
            break
    rest = run(algorithm, series, grid, resumed=state)
    assert [item.iteration for item in rest] == [4, 5]
    np.testing.assert_array_equal(rest[-1].volume, whole[-1].volume)
    assert rest[-1].loss == whole[-1].loss


def test_batches_of_probes_make_more_steps(problem):
    series, grid = few_tilts(problem[0]), problem[1]
    one = run(MSET(MSETParams(slice_A=3.0, iterations=2)), series, grid)
    four = run(MSET(MSETParams(slice_A=3.0, iterations=2, batch=36)), series, grid)
    assert four[-1].state["phase_count"] == 4 * one[-1].state["phase_count"]


def test_sset_is_mset_with_one_slice(problem):
    series, grid = few_tilts(problem[0]), problem[1]
    single = run(SSET(SSETParams(iterations=2)), series, grid)[-1].volume
    thick = run(MSET(MSETParams(slice_A=1000.0, iterations=2)), series, grid)[-1].volume
    np.testing.assert_array_equal(single, thick)


def test_a_volume_moved_by_a_pixel_fits_data_moved_by_a_pixel(problem):
    series, grid = problem
    flat = dataclasses.replace(series, data=series.data[:1], rotations=np.eye(3)[None])
    moved = dataclasses.replace(flat, data=np.roll(flat.data, 1, axis=3))  # by one position: two pixels of the volume
    params = MSETParams(slice_A=3.0, iterations=3)
    first, second = (run(MSET(params), one, grid)[-1].volume for one in (flat, moved))
    inner = slice(6, -6)
    left, right = np.roll(first, 2, axis=2)[:, inner, inner], second[:, inner, inner]
    assert np.corrcoef(left.ravel(), right.ravel())[0, 1] > 0.99


def test_positions_are_refined_towards_the_truth(problem):
    series, grid = problem
    truth, made = crime(grid, few_tilts(series, 2))
    rng = np.random.default_rng(0)
    model = SeriesModel(made, grid, FINE)
    drift = rng.normal(scale=0.12, size=(len(made.data), 1, 1, 2))
    model.positions_A += drift
    data = np.zeros_like(made.data)
    for tilt in range(len(data)):
        patterns = np.fft.fftshift(model.calculated(tilt, 0, truth * np.float32(model.sigma)), axes=(1, 2))
        data[tilt, 0] = patterns.reshape(data.shape[2:])
    drifted = dataclasses.replace(made, data=data)
    fixed, refined = (
        run(MSET(MSETParams(slice_A=2.0, iterations=20, total_variation=0.0, refine_positions=refine)), drifted, grid)[-1]
        for refine in (False, True)
    )
    assert refined.loss < 0.5 * fixed.loss
    found = refined.fit.positions_A - SeriesModel(made, grid, FINE).positions_A
    assert np.corrcoef(found.mean(axis=2).ravel(), drift.mean(axis=2).ravel())[0, 1] > 0.9


def test_the_probe_is_refined_towards_the_truth(problem):
    series, grid = problem
    _, made = crime(grid, few_tilts(series, 2))
    wrong = dataclasses.replace(made, optics=dataclasses.replace(made.optics, aberrations_A={"C12": 25.0}))
    fixed, refined = (
        run(MSET(MSETParams(slice_A=2.0, iterations=20, total_variation=0.0, refine_probe=refine)), wrong, grid)[-1]
        for refine in (False, True)
    )
    assert refined.loss < 0.5 * fixed.loss


def test_auto_takes_the_likelihood_where_there_is_a_dose(problem):
    series, grid = problem
    for dose, poisson in ((math.inf, False), (1e5, True)):
        model = SeriesModel(dataclasses.replace(series, dose_e_per_A2=dose), grid, Discretisation(3.0, None, "linear"))
        assert isinstance(Objective(model, "auto").noise, Poisson) == poisson


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reciprocal_step_per_A": None}, "needs the reciprocal step of the patterns, not None"),
        ({"data": np.full((6, 1, 12, 12, 24, 24), np.nan, np.float32)}, "tilt 0 has 82944 values that are nan or infinite"),
        ({"data": np.full((6, 1, 12, 12, 24, 24), -1, np.float32)}, "tilt 0 has 82944 negative values"),
        ({"rotations": np.stack([np.eye(3)] * 5 + [2 * np.eye(3)])}, "that of tilt 5 is not"),
    ],
)
def test_series_that_cannot_be_used_are_refused_with_the_reason(problem, change, message):
    series = dataclasses.replace(few_tilts(problem[0]), **change)
    assert message in MSET().accepts(series)


def test_grids_that_do_not_fit_are_refused_with_the_numbers(problem):
    series, _ = problem
    with pytest.raises(
        ValueError, match=r"voxels of 0\.45 Å do not divide the field of 12 Å .* 0\.4444 and 0\.4615 Å \(grid\.voxel_A\)"
    ):
        run(MSET(), series, Grid((24, 24, 24), 0.45))
    with pytest.raises(
        ValueError, match=r"the scan leaves the volume: x runs from -6\.00 to 5\.00 Å, the volume from -4\.00 to 3\.50 Å"
    ):
        run(MSET(), series, Grid((16, 16, 16), 0.5))
    with pytest.raises(ValueError, match=r"a probe window of 4\.0 Å is less than the .* Å over which the probe spreads"):
        run(MSET(MSETParams(window_A=4.0)), series, Grid((24, 24, 24), 0.5))
    tilted = dataclasses.replace(series, rotations=np.roll(series.rotations, 1, axis=(1, 2)))
    with pytest.raises(ValueError, match="update: paper turns the volume about y only"):
        run(MSET(MSETParams(update="paper")), tilted, Grid((24, 24, 24), 0.5))
