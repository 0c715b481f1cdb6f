"""Patterns of atoms: exact gradients, the Fisher information that they really hold, what is known of an atom, and the descent."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from scipy.stats import binom

from benchsuite.physics.electrons import interaction_per_VA
from benchsuite.physics.gaussians.atoms import Orbitals, View
from benchsuite.physics.gaussians.fisher import Information, covariance, deviations, disagreement
from benchsuite.physics.gaussians.pattern_model import PatternModel
from benchsuite.physics.gaussians.shapes import GAUSSIAN
from benchsuite.physics.rotations import rotation
from benchsuite.reconstructors.lot.pattern_schedule import turns
from benchsuite.reconstructors.lot.steps import by_tilt, difference, moved_atoms, moved_views
from benchsuite.reconstructors.solvers.lbfgs import MEMORY, Coordinates, Memory
from tests.reconstructors.made_patterns import (
    GRID,
    HEAVY,
    SHAPES,
    SLICE_A,
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


@pytest.mark.parametrize("loss", ["amplitude", "poisson"])
@pytest.mark.parametrize("what", ["atoms", "views"])
def test_the_gradient_of_the_loss_passes_the_taylor_test(truth, loss, what):
    """On noisy patterns in two foci, with two kinds of atoms; the remainder falls by four when the step is halved."""
    noisy = counted(series_of(truth, 2, (-80.0, -40.0)), 1e3)
    model = PatternModel(noisy, GRID, [*SHAPES, GAUSSIAN], SLICE_A, 1, None, loss)
    atoms, kinds, views = displaced(truth), np.arange(len(truth)) % 2, views_of(noisy)
    rng = np.random.default_rng(2)
    change = rng.normal(size=(len(atoms), 5)) * [0.02, 0.02, 0.02, 0.02 * HEAVY, 0.005] * (what == "atoms")
    turn = rng.normal(size=(len(views), 5)) * [0.02, 0.02, 0.004, 0.004, 0.004] * (what == "views")
    count = model.forward.probe_count * len(views)

    def value(t):
        seen = [view.moved(t * step[:2], t * step[2:]) for view, step in zip(views, turn, strict=True)]
        return count * model.sweep(moved(atoms, t * change), seen, kinds).loss

    found = model.sweep(atoms, views, kinds)
    slope = float((found.by_atom.sum(axis=0) * change).sum() + (found.by_view * turn).sum())
    steps, start = np.array([1.0, 0.5, 0.25]), value(0.0)
    forth, back = (np.array([value(sign * t) - start for t in steps]) for sign in (1, -1))
    assert np.polyfit(np.log(steps), np.log(np.abs(forth - steps * slope)), 1)[0] == pytest.approx(2, abs=0.2)
    assert (forth - back)[-1] / (2 * steps[-1]) == pytest.approx(slope, rel=5e-3)


def roots(model, atoms, views):
    """√I of all images in double precision."""
    pairs = zip(model.images, views, strict=True)
    found = [model.forward.through(tilt, focus, model.transmission(model.seen(atoms, view))) for (tilt, focus), view in pairs]
    return np.sqrt(np.array(found, np.float64))


def test_the_information_is_that_of_finite_differences(truth):
    """Σ (∂I)²/I = 4 Σ (∂√I)² for every coordinate of three atoms, and of two views; the estimate is averaged over seeds."""
    few = series_of(truth, 3)
    model, views, sizes = model_of(few), views_of(few), np.array([0.01, 0.01, 0.01, 0.01 * HEAVY, 0.002])
    known = [model.information(truth, views, np.random.default_rng(seed)) for seed in range(40)]
    estimate, of_views = np.mean([one.blocks for one in known], axis=0), np.mean([one.by_view for one in known], axis=0)
    ratios = []
    for atom in (0, 5, 11):
        slopes = []
        for column, size in enumerate(sizes):
            change = np.zeros((len(truth), 5))
            change[atom, column] = size
            both = (roots(model, moved(truth, sign * change), views) for sign in (1, -1))
            slopes.append(np.subtract(*both).ravel() / size)  # 2 ∂√I
        wanted = np.array(slopes) @ np.array(slopes).T
        scale = np.sqrt(np.outer(np.diag(wanted), np.diag(wanted)))
        np.testing.assert_allclose(estimate[atom] / scale, wanted / scale, atol=0.35)
        ratios.extend(np.diag(estimate[atom]) / np.diag(wanted))
    assert np.mean(ratios) == pytest.approx(1, abs=0.1)
    for view, column, size in ((0, 0, 0.01), (1, 3, 0.002), (2, 4, 0.002)):
        step = np.zeros(5)
        step[column] = size
        both = (
            roots(model, truth, [v.moved(s * step[:2], s * step[2:]) if k == view else v for k, v in enumerate(views)])
            for s in (1, -1)
        )
        wanted = float((np.subtract(*both) ** 2).sum()) / size**2
        assert of_views[view, column] == pytest.approx(wanted, rel=0.4)


@pytest.mark.parametrize(("loss", "electrons", "curvature"), [("poisson", 1e5, 1.0), ("amplitude", 1e9, 0.5)])
def test_gradients_of_noise_have_the_information_as_their_covariance(truth, loss, electrons, curvature):
    """At the truth, over realisations of N electrons per position: N ⟨g²⟩ = c² F. Amplitudes take more electrons: roots of few
    counts are biased.
    """
    few = series_of(truth, 4)
    views = views_of(few)
    known = [model_of(few).information(truth, views, np.random.default_rng(seed)).blocks for seed in range(12)]
    information = np.einsum("nii->ni", np.mean(known, axis=0))
    gradients = []
    for seed in range(24):
        model = model_of(counted(few, electrons, seed), loss)
        assert model.curvature == curvature
        gradients.append(model.sweep(truth, views).by_atom.sum(axis=0))
    found = electrons * np.mean(np.square(gradients), axis=0) / curvature**2
    ratio = found / information
    assert np.median(ratio) == pytest.approx(1, abs=0.25)
    assert ratio.mean(axis=0) == pytest.approx(np.ones(5), abs=0.5)


def test_each_image_tells_a_part_of_the_information(truth, series):
    known = model_of(series).information(truth, views_of(series), np.random.default_rng(0))
    np.testing.assert_allclose(known.by_image.sum(axis=0), np.einsum("nii->ni", known.blocks))
    assert (known.by_image > 0).all()


def test_r_factors_vanish_where_the_model_is_true(truth, series):
    model = model_of(series)
    assert model.r_factors(truth, views_of(series)).max() < 1e-5
    assert model.r_factors(displaced(truth), views_of(series)).min() > 1e-3


# ---- uncertainties


def unit_information(images, atoms):
    return Information(np.tile(np.eye(5), (atoms, 1, 1)), np.full((images, atoms, 5), 1 / images), np.zeros((images, 5)))


@pytest.mark.parametrize("curvature", [0.5, 1.0])
def test_images_that_disagree_more_than_they_count_say_so(curvature):
    """Gradients of unit information over many images, three times as large as those of counting."""
    images, atoms, electrons = 60, 200, 1e4
    gradients = 3 * curvature / np.sqrt(electrons * images) * np.random.default_rng(0).normal(size=(images, atoms, 5))
    factors = disagreement(gradients, unit_information(images, atoms), np.ones(atoms), curvature, electrons)
    assert factors.mean() == pytest.approx(3 / np.sqrt(electrons), rel=0.05)
    found = deviations(covariance(unit_information(images, atoms).blocks, factors))
    np.testing.assert_allclose(found, factors, rtol=1e-5)


def test_without_disagreement_the_bound_is_left_and_without_information_nothing():
    known = unit_information(10, 50)
    factors = disagreement(np.zeros((10, 50, 5)), known, np.ones(50), 1.0, 1e4)
    np.testing.assert_allclose(factors, 0.01)
    blocks = known.blocks.copy()
    blocks[7] = 0
    found = deviations(covariance(blocks, factors))
    assert np.isinf(found[7]).all()
    np.testing.assert_allclose(np.delete(found, 7, axis=0), 0.01, rtol=1e-5)


def test_what_all_images_ask_for_is_no_disagreement():
    """Before the minimum: a common gradient, ten times what images differ by, would make every atom insignificant."""
    apart = np.random.default_rng(0).normal(size=(9, 100, 5)) / 3
    known, weight = unit_information(9, 100), np.ones(100)
    factors = [disagreement(apart + common, known, weight, 1.0, 1e9).mean() for common in (0.0, 10 / 3)]
    assert factors[1] == pytest.approx(factors[0])
    assert factors[0] == pytest.approx(1, abs=0.15)


def test_light_and_heavy_atoms_do_not_share_their_factors():
    """80 atoms that agree and 80 of another weight that do not."""
    gradients = np.random.default_rng(0).normal(size=(40, 160, 5)) / np.sqrt(40)
    gradients[:, 80:] *= 10
    weight = np.where(np.arange(160) < 80, 1.0, 9.0)
    factors = disagreement(gradients, unit_information(40, 160), weight, 1.0, 1e9)
    assert factors[:40].mean() == pytest.approx(1, rel=0.1)
    assert factors[-40:].mean() == pytest.approx(10, rel=0.1)


@pytest.fixture(scope="module")
def block():
    """A lattice of 27 atoms, the fits of two realisations of its patterns, and their errors in standard deviations."""
    axis = 2.4 * (np.arange(3) - 1)
    lattice = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    truth = orbitals(lattice + np.random.default_rng(0).normal(0, 0.05, lattice.shape))
    exact = series_of(truth, 12)
    found = [fitted(counted(exact, 1e4, seed), truth.positions, iterations=9)[-1].atoms for seed in range(2)]
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


def test_a_quasi_newton_descent_finds_the_minimum_of_a_long_valley():
    """A quadratic with curvatures from 1 to 10⁴ in 40 dimensions, with steps of length 1 and the curvature known to a factor."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    hessian = axes @ np.diag(np.geomspace(1, 1e4, 40)) @ axes.T
    minimum = rng.normal(size=40)
    x, memory, best = np.zeros(40), Memory(40), np.inf
    gradient = hessian @ (x - minimum)
    start = np.linalg.norm(gradient)
    for _ in range(250):
        step = memory.direction(gradient, 1e4)
        changed = hessian @ (x + step - minimum)
        memory.learn(step, changed - gradient)
        x, gradient = x + step, changed
        best = min(best, np.linalg.norm(gradient))
    assert best < 1e-4 * start, "steepest descent with that step is at 2e-2 by then"
    assert len(memory.steps) == MEMORY


def test_with_the_right_coordinates_a_block_diagonal_quadratic_takes_a_step():
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(6, 5, 8))
    blocks = roots @ roots.swapaxes(1, 2) * np.geomspace(1e-2, 1e2, 6)[:, None, None]
    error = rng.normal(size=(6, 5))
    here = Coordinates(blocks, np.zeros((2, 5)))
    flat = here.flat(np.einsum("nij,nj->ni", blocks, error), np.ones((2, 5)))
    step, of_views = here.step(Memory(len(flat)).direction(flat, 1.0))
    metric = np.einsum("ni,nij,nj->n", error + step, blocks, error + step) / np.einsum("ni,nij,nj->n", error, blocks, error)
    assert metric.max() < 0.1, "damping leaves the weakest directions"
    assert not of_views.any(), "views without information are held"


def test_coordinates_and_steps_are_inverse_and_products_do_not_depend_on_them():
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


def test_memory_refuses_pairs_that_are_not_convex():
    memory, step = Memory(3), np.array([1.0, 0.0, 0.0])
    for change in (-step, np.array([0.0, 1.0, 0.0]), np.array([np.nan, 0, 0])):
        memory.learn(step, change)
    assert len(memory.steps) == 0
    np.testing.assert_allclose(memory.direction(np.array([2.0, 4.0, 0.0]), 2.0), [-1, -2, 0])
    memory.learn(step, 4 * step)
    assert len(memory.steps) == 1
    again = Memory.resumed(memory.snapshot())
    np.testing.assert_array_equal(again.direction(np.ones(3), 1.0), memory.direction(np.ones(3), 1.0))


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
def test_what_is_asked_for_is_in_the_schedule(oversampling):
    asked = {"refine_probe": True, "refine_drift": True, "oversampling": oversampling}
    order = turns(algorithm(iterations=14, **asked).params)
    assert len(order) == 14
    assert order[0].fresh
    assert sum(turn.census for turn in order) == 2
    assert order[-1].finer == oversampling
    assert all(later.finer >= earlier.finer for earlier, later in itertools.pairwise(order))
    assert order[-1].probe_step > 0
    assert order[-1].views
    assert not any(turn.probe_step or turn.views for turn in turns(algorithm(oversampling=oversampling).params))


def test_a_view_is_one_image_of_one_focus(truth):
    two = series_of(truth, 2, (-80.0, -40.0))
    assert model_of(two).images == [(0, 0), (0, 1), (1, 0), (1, 1)]
    swapped = dataclasses.replace(two, data=two.data[:, ::-1])
    model = model_of(swapped)
    assert model.r_factors(truth, views_of(swapped)).min() > 0.01
