"""Errors of an alignment: nothing that images cannot tell counts, and what counts has the right size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchsuite.metrics.alignment import alignment_error
from benchsuite.physics.rotations import random_rotation, rotation, rotation_from_vector, single_axis, vector_from_rotation

seeds = st.integers(0, 10**6)


@settings(max_examples=30, deadline=None)
@given(seeds, st.booleans())
def test_a_translation_and_a_rotation_of_the_specimen_are_no_error(seed, one_axis):
    rng = np.random.default_rng(seed)
    true = single_axis(np.linspace(-70, 70, 9)) if one_axis else np.stack([random_rotation(rng) for _ in range(9)])
    shifts, translation, turn = rng.normal(size=(9, 2)), rng.normal(size=3), random_rotation(rng)
    moved = shifts + (true @ translation)[:, :2]
    error = alignment_error(moved, true @ turn, shifts, true)
    assert error.shift_A < 1e-9
    assert error.angle_deg < 1e-5


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_a_gauge_does_not_change_the_error(seed):
    rng = np.random.default_rng(seed)
    true = single_axis(np.linspace(-70, 70, 9))
    found = np.stack([rotation_from_vector(0.02 * rng.normal(size=3)) @ matrix for matrix in true])
    shifts, true_shifts = rng.normal(size=(9, 2)), rng.normal(size=(9, 2))
    plain = alignment_error(shifts, found, true_shifts, true)
    turned = alignment_error(shifts + (true @ rng.normal(size=3))[:, :2], found @ random_rotation(rng), true_shifts, true)
    assert np.allclose([plain.shift_A, plain.angle_deg], [turned.shift_A, turned.angle_deg])


def test_sizes_are_root_mean_squares_per_axis_and_of_angles():
    rng = np.random.default_rng(0)
    true = np.stack([random_rotation(rng) for _ in range(4000)])
    errors = rng.normal(scale=0.5, size=4000)
    found = np.stack([rotation("x", one) @ matrix for one, matrix in zip(errors, true, strict=True)])
    error = alignment_error(rng.normal(scale=0.3, size=(4000, 2)), found, np.zeros((4000, 2)), true)
    assert error.shift_A == pytest.approx(0.3, rel=0.03)
    assert error.angle_deg == pytest.approx(0.5, rel=0.03)


def test_numbers_of_images_must_agree():
    with pytest.raises(ValueError, match="different numbers"):
        alignment_error(np.zeros((3, 2)), np.stack([np.eye(3)] * 4), np.zeros((3, 2)), np.stack([np.eye(3)] * 3))


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.floats(-1.7, 1.7)] * 3))
def test_vectors_and_rotations_are_inverse(vector):
    assert np.allclose(vector_from_rotation(rotation_from_vector(np.array(vector))), vector, atol=1e-9)
