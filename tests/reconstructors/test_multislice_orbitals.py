"""Patterns of atoms: exact gradients, the Fisher information that they really hold, what is known of an atom, and the descent."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from scipy.stats import binom

from benchsuite.physics.electrons import interaction_per_VA
from benchsuite.physics.gaussians.atoms import Orbitals, View
from benchsuite.physics.rotations import rotation
from benchsuite.reconstructors.lot.coordinates import Coordinates
from benchsuite.reconstructors.lot.plan import pattern_plan
from benchsuite.reconstructors.lot.steps import by_tilt, difference, moved_atoms, moved_views
from benchsuite.reconstructors.solvers.lbfgs import LBFGS
from tests.reconstructors.made_patterns import (
    algorithm,
    counted,
    fitted,
    model_of,
    orbitals,
    series_of,
    some_atoms,
    views_of,
)


def displaced(atoms, size_A=0.05, seed=1):
    rng = np.random.default_rng(seed)
    count = len(atoms)
    weight = atoms.weight * rng.uniform(0.8, 1.2, count)
    return Orbitals(atoms.positions + rng.normal(0, size_A, (count, 3)), weight, atoms.width + rng.uniform(0, 0.1, count))


def moved(atoms, change):
    return Orbitals(atoms.positions + change[:, :3], atoms.weight + change[:, 3], atoms.width + change[:, 4])


@pytest.fixture(scope="module")
def truth():
    return some_atoms()


@pytest.fixture(scope="module")
def series(truth):
    return series_of(truth)


# ---- uncertainties


@pytest.fixture(scope="module")
def block():
    """A lattice of 27 atoms, the fits of two realisations of its patterns, and their errors in standard deviations."""
    axis = 2.4 * (np.arange(3) - 1)
    lattice = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    truth = orbitals(lattice + np.random.default_rng(0).normal(0, 0.05, lattice.shape))
    exact = series_of(truth, 12)
    found = [fitted(counted(exact, 1e4, seed), truth.positions, iterations=20)[-1].atoms for seed in range(2)]
    return truth, found


def check_calibrated(errors):
    """About 68% within one standard deviation, as a binomial distribution has it, and none far off."""
    least, most = binom.interval(0.9999, errors.size, 0.6827)
    assert least <= np.count_nonzero(np.abs(errors) < 1) <= most
    assert np.abs(errors).max() < 5
    assert 0.75 < errors.std() < 1.3


def test_uncertainties_of_positions_are_calibrated(block):
    truth, found = block
    check_calibrated(np.concatenate([100 * (one.positions - truth.positions) / one.arrays["uncertainty_pm"] for one in found]))


def test_uncertainties_of_weights_are_calibrated(block):
    truth, found = block
    wanted = truth.weight / interaction_per_VA(300.0)
    check_calibrated(np.concatenate([(one.arrays["intensity"] - wanted) / one.arrays["intensity_uncertainty"] for one in found]))


def test_on_its_own_model_the_uncertainty_is_that_of_counting(block):
    for one in block[1]:
        ratio = one.arrays["uncertainty_pm"] / one.arrays["counting_uncertainty_pm"]
        assert ratio.min() >= 1
        assert np.median(ratio) < 1.2


def test_four_times_the_electrons_halve_the_bound(truth, series):
    bounds = [
        np.median(fitted(counted(series, electrons), truth.positions, iterations=2)[-1].atoms.arrays["counting_uncertainty_pm"])
        for electrons in (1e4, 4e4)
    ]
    assert bounds[0] / bounds[1] == pytest.approx(2, rel=0.1)


# ---- descent, moves, schedule


def test_descent_solves_a_block_diagonal_quadratic_in_one_step():
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(6, 5, 8))
    blocks = roots @ roots.swapaxes(1, 2) * np.geomspace(1e-2, 1e2, 6)[:, None, None]
    error = rng.normal(size=(6, 5))
    here = Coordinates(blocks, np.zeros((2, 5)))
    flat = here.flat(np.einsum("nij,nj->ni", blocks, error), np.ones((2, 5)))
    step, of_views = here.step(LBFGS(len(flat)).direction(flat, 1.0))
    metric = np.einsum("ni,nij,nj->n", error + step, blocks, error + step) / np.einsum("ni,nij,nj->n", error, blocks, error)
    assert metric.max() < 0.1, "damping leaves the weakest directions"
    assert not of_views.any(), "views without information are held"


def test_coordinates_and_steps_are_inverse_and_keep_products():
    rng = np.random.default_rng(1)
    roots = rng.normal(size=(4, 5, 9))
    here = Coordinates(roots @ roots.swapaxes(1, 2), rng.uniform(1, 2, (3, 5)))
    atoms, views = rng.normal(size=(4, 5)), rng.normal(size=(3, 5))
    back = here.step(here.of_step(atoms, views))
    np.testing.assert_allclose(back[0], atoms)
    np.testing.assert_allclose(back[1], views)
    by_atom, by_view = rng.normal(size=(4, 5)), rng.normal(size=(3, 5))
    product = float((by_atom * atoms).sum() + (by_view * views).sum())
    assert float(here.flat(by_atom, by_view) @ here.of_step(atoms, views)) == pytest.approx(product)


def test_an_atom_goes_no_farther_than_a_linear_model_holds():
    atoms = orbitals(np.zeros((3, 3)), 1.0)
    step = np.array([[3.0, 4.0, 0, 0, 0], [0.01, 0, 0, -5.0, -5.0], [0, 0, 0, 9.0, 9.0]])
    found = moved_atoms(atoms, step)
    np.testing.assert_allclose(np.linalg.norm(found.positions, axis=1), [0.15, 0.01, 0])
    np.testing.assert_allclose(found.positions[0] / 0.15, [0.6, 0.8, 0])
    assert found.weight.tolist() == [1.0, 0.5, 2.0]
    assert (found.width > 0).all()


def test_a_shift_of_the_specimen_is_no_drift():
    """What of the drifts is a common translation of the specimen, as each tilt projects it, is left to the atoms."""
    views = [View(rotation("y", angle), 0, np.zeros(3), np.zeros(2)) for angle in (-60.0, -10.0, 30.0, 70.0)]
    common = np.array([0.3, -0.2, 0.1])
    step = np.zeros((4, 5))
    step[:, :2] = [view.rotation[:2] @ common for view in views]
    assert max(np.abs(view.drift).max() for view in moved_views(views, step, 1)) < 1e-12
    step[2, :2] += [0.1, -0.2]
    drift = np.array([view.drift for view in moved_views(views, step, 1)])
    axes = np.concatenate([view.rotation[:2] for view in views])
    np.testing.assert_allclose(axes.T @ drift.ravel(), 0, atol=1e-12)
    assert np.abs(drift[2]).max() > 0.05


def test_foci_of_a_tilt_turn_together():
    views = [View(rotation("y", angle), focus, np.zeros(3), np.zeros(2)) for angle in (0.0, 40.0) for focus in range(2)]
    slopes = np.arange(20.0).reshape(4, 5)
    gathered = by_tilt(slopes, 2)
    np.testing.assert_array_equal(gathered[:, :2], slopes[:, :2])
    np.testing.assert_array_equal(gathered[::2, 2:], slopes[::2, 2:] + slopes[1::2, 2:])
    assert not gathered[1::2, 2:].any()
    turned = moved_views(views, gathered, 2)
    for first, second in ((0, 1), (2, 3)):
        np.testing.assert_array_equal(turned[first].correction, turned[second].correction)
    atoms = orbitals(np.zeros((1, 3)))
    np.testing.assert_allclose(difference(atoms, turned, atoms, views)[1][:, 2:], np.repeat(gathered[::2, 2:], 2, axis=0))


@pytest.mark.parametrize("oversampling", [1, 2])
def test_pattern_plan_contains_the_requested_refinements(oversampling):
    wanted = {"refine_probe": True, "refine_drift": True, "oversampling": oversampling}
    plan = pattern_plan(algorithm(iterations=14, **wanted).params)
    assert len(plan) == 14
    assert plan[0].measure_curvature
    assert sum(step.select_atoms for step in plan) == 2
    assert plan[-1].oversampling == oversampling
    assert all(later.oversampling >= earlier.oversampling for earlier, later in itertools.pairwise(plan))
    assert plan[-1].probe_step > 0
    assert plan[-1].refine_views
    assert not any(step.probe_step or step.refine_views for step in pattern_plan(algorithm(oversampling=oversampling).params))


def test_a_view_is_one_image_of_one_focus(truth):
    two = series_of(truth, 2, (-80.0, -40.0))
    assert model_of(two).images == [(0, 0), (0, 1), (1, 0), (1, 1)]
    swapped = dataclasses.replace(two, data=two.data[:, ::-1])
    model = model_of(swapped)
    assert model.r_factors(truth, views_of(swapped)).min() > 0.01
