"""The conventions of docs/conventions.md, executed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchsuite.data import Grid
from benchsuite.physics.rotations import (
    euler,
    is_rotation,
    nearest_rotation,
    random_rotation,
    rotation,
    single_axis,
    tilt_angles,
)

angles = st.floats(-360, 360)


def test_rotation_is_active_and_right_handed():
    assert np.allclose(rotation("z", 90) @ [1, 0, 0], [0, 1, 0])
    assert np.allclose(rotation("x", 90) @ [0, 1, 0], [0, 0, 1])
    assert np.allclose(rotation("y", 90) @ [0, 0, 1], [1, 0, 0])


@given(angles, angles)
def test_rotations_about_one_axis_add_up(a, b):
    assert np.allclose(rotation("y", a) @ rotation("y", b), rotation("y", a + b), atol=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_random_rotations_are_rotations(seed):
    assert is_rotation(random_rotation(np.random.default_rng(seed)))


def test_a_mirror_is_no_rotation():
    assert not is_rotation(np.diag([1.0, 1.0, -1.0]))


def test_full_range_leaves_the_mirrored_view_out():
    full = tilt_angles(-90, 90, 20)
    assert len(full) == 20
    assert np.allclose(np.diff(full), 9)
    assert full[-1] == pytest.approx(81)
    assert tilt_angles(-75, 75, 20)[-1] == 75


def test_spellings_of_one_tilt_agree():
    assert np.allclose(euler([(0, 30, 0)], "zyx"), single_axis([30], "y"))
    assert np.allclose(single_axis([30], (0, 2, 0)), single_axis([30], "y"))


def test_grid_centre_is_index_n_half():
    grid = Grid((5, 6, 8), 0.5)
    assert np.allclose(grid.positions(np.array([[2, 3, 4]])), 0)
    points = np.array([[0.3, -0.7, 1.1]])
    assert np.allclose(grid.positions(grid.indices(points)), points)
    assert np.allclose(grid.positions(np.array([[2, 3, 5]])), [[0.5, 0, 0]])


@given(st.integers(0, 2**32 - 1))
def test_nearest_rotation_carries_vectors_back_where_they_were_turned_to(seed):
    rng = np.random.default_rng(seed)
    turn, vectors = random_rotation(rng), rng.normal(size=(6, 3))
    np.testing.assert_allclose(nearest_rotation((vectors @ turn.T).T @ vectors), turn, atol=1e-9)


def test_nearest_rotation_of_a_mirror_is_a_rotation():
    assert is_rotation(nearest_rotation(np.diag([3.0, 2.0, -1.0])))
