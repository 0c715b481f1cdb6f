"""A truth in an unknown frame is found among traced atoms, or it is said that it is not."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from benchsuite.metrics.matching.registration import angle_deg, nearest_axes, register, remarks
from benchsuite.physics.rotations import random_rotation, rotation


def glass(count=60, seed=0):
    """A random arrangement, which looks like itself in one orientation only."""
    rng, kept = np.random.default_rng(seed), [np.zeros(3)]
    while len(kept) < count:
        candidate = rng.uniform(-7, 7, 3)
        if np.linalg.norm(np.array(kept) - candidate, axis=1).min() > 2.2:
            kept.append(candidate)
    return Atoms(rng.choice([14, 32], count), np.array(kept))


def traced(truth, matrix, shift, seed=1, noise=0.1, missing=0.0, false=0.0):
    rng = np.random.default_rng(seed)
    kept = truth[rng.random(len(truth)) >= missing]
    positions = kept.positions @ matrix.T + shift + noise / np.sqrt(3) * rng.standard_normal((len(kept), 3))
    added = rng.uniform(-7, 7, (int(false * len(truth)), 3))
    return Atoms(np.r_[kept.numbers, rng.choice([14, 32], len(added))], np.r_[positions, added])


PERMUTED = np.array([[0, 0, 1.0], [0, -1, 0], [1, 0, 0]])


@pytest.mark.parametrize(
    "matrix",
    [PERMUTED, rotation([1, 2, 3], 7) @ PERMUTED, random_rotation(np.random.default_rng(2))],
    ids=["axes", "turned", "any"],
)
def test_rotation_and_shift_are_found_among_false_and_missing_atoms(matrix):
    truth, shift = glass(), np.array([1.0, -2.0, 0.7])
    found = register(truth, traced(truth, matrix, shift, missing=0.2, false=0.2))
    assert angle_deg(found.best.rotation, matrix) < 1
    assert np.allclose(found.best.applied(truth.positions), truth.positions @ matrix.T + shift, atol=0.25)
    assert not found.ambiguous
    assert not found.mirror_fits_better
    assert found.best.fit > 0.6 > 0.3 > found.mirrored.fit


def test_a_mirrored_truth_is_reported_and_not_flipped():
    truth = glass()
    found = register(truth, traced(truth, np.diag([1.0, 1.0, -1.0]), np.zeros(3)))
    assert np.linalg.det(found.best.rotation) > 0
    assert found.mirror_fits_better
    assert np.allclose(found.mirrored.rotation, np.diag([1.0, 1.0, -1.0]), atol=0.02)
    told = remarks(found, 0.3)
    assert any("not registered" in text for text in told)
    assert any("mirrored: check handedness" in text for text in told)


def test_orientations_that_fit_equally_are_said():
    grid = 2.5 * np.stack(np.meshgrid(*[np.arange(-1, 2)] * 3), axis=-1).reshape(-1, 3)
    truth = Atoms(np.full(27, 79), grid)
    found = register(truth, traced(truth, np.eye(3), np.zeros(3), noise=0.0))
    assert found.ambiguous
    assert any("ambiguous" in text for text in remarks(found, 0.3))


def test_registration_reports_a_structure_that_fits_nowhere():
    found = register(glass(seed=0), glass(seed=5))
    assert found.best.fit < 0.3
    assert remarks(found, 0.3)[0].startswith("truth not registered: it fits by")


def test_too_few_atoms_are_refused():
    with pytest.raises(ValueError, match="2 traced atoms; at least three"):
        register(glass(), glass(2))


def test_the_nearest_axes_are_named():
    names, rest = nearest_axes(rotation([0, 0, 1], 3) @ PERMUTED)
    assert (names, round(rest, 6)) == (("z", "-y", "x"), 3.0)
