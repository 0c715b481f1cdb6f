"""Patterns of atoms: exact gradients, and the Fisher information that they really hold."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.physics.gaussians.atoms import Orbitals
from benchsuite.physics.gaussians.pattern_model import PatternModel
from benchsuite.physics.gaussians.shapes import GAUSSIAN
from tests.reconstructors.made_patterns import (
    GRID,
    HEAVY,
    SHAPES,
    SLICE_A,
    counted,
    model_of,
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
        return count * model.evaluate(moved(atoms, t * change), seen, kinds).loss

    found = model.evaluate(atoms, views, kinds)
    slope = float((found.by_atom.sum(axis=0) * change).sum() + (found.by_view * turn).sum())
    steps, start = np.array([1.0, 0.5, 0.25]), value(0.0)
    forth, back = (np.array([value(sign * t) - start for t in steps]) for sign in (1, -1))
    assert np.polyfit(np.log(steps), np.log(np.abs(forth - steps * slope)), 1)[0] == pytest.approx(2, abs=0.2)
    assert (forth - back)[-1] / (2 * steps[-1]) == pytest.approx(slope, rel=5e-3)


def roots(model, atoms, views):
    """√I of all images in double precision."""
    pairs = zip(model.images, views, strict=True)
    found = [model.forward.through(tilt, focus, model.transmission(model.sliced(atoms, view))) for (tilt, focus), view in pairs]
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
        gradients.append(model.evaluate(truth, views).by_atom.sum(axis=0))
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
