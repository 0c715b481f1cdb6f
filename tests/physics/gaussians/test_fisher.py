"""What is known of an atom: counting noise, and how far images disagree."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.physics.gaussians.fisher import Information, covariance, deviations, disagreement


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


def test_uncertainty_is_the_bound_without_disagreement():
    known = unit_information(10, 50)
    factors = disagreement(np.zeros((10, 50, 5)), known, np.ones(50), 1.0, 1e4)
    np.testing.assert_allclose(factors, 0.01)
    blocks = known.blocks.copy()
    blocks[7] = 0
    found = deviations(covariance(blocks, factors))
    assert np.isinf(found[7]).all()
    np.testing.assert_allclose(np.delete(found, 7, axis=0), 0.01, rtol=1e-5)


def test_common_gradients_of_all_images_are_no_disagreement():
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
