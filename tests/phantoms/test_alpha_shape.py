"""Alpha shapes against bodies whose volume and surface are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from benchsuite.phantoms.alpha_shape import circumradii, surface_points, volume
from benchsuite.phantoms.shape import sphere_points


def sampled_ball(count: int, radius: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return radius * directions * np.cbrt(rng.uniform(size=(count, 1)))


def test_circumradius_of_a_regular_tetrahedron_and_of_a_flat_one() -> None:
    regular = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=float)
    flat = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], dtype=float)
    np.testing.assert_allclose(circumradii(np.stack([regular, flat])), [np.sqrt(3), np.inf])


def test_volume_of_a_densely_sampled_ball() -> None:
    points = np.concatenate([sampled_ball(4000, 3.0), 3.0 * sphere_points(2000)])
    assert volume(points, alpha=0.8) == pytest.approx(4 / 3 * np.pi * 27, rel=0.01)


def test_infinite_alpha_is_the_convex_hull() -> None:
    cube = np.array(list(itertools.product((0.0, 2.0), repeat=3)))
    points = np.concatenate([cube, sampled_ball(50, 0.4) + 1])
    assert volume(points, np.inf) == pytest.approx(8)
    np.testing.assert_array_equal(surface_points(points, np.inf), np.arange(8))


def test_a_notch_is_seen_by_a_small_alpha_only() -> None:
    grid = np.array(list(itertools.product(range(9), repeat=3)), dtype=float)
    notch = (np.abs(grid[:, 0] - 4) <= 1) & (grid[:, 2] >= 4)
    points = grid[~notch]
    floor = np.flatnonzero((points[:, 0] == 4) & (points[:, 2] == 3) & (points[:, 1] == 4))
    assert volume(points, np.inf) == pytest.approx(512)
    # a ball of radius 1.2 does not reach the two inner edges of the notch, which keep half a cell each along their length of 8
    assert volume(points, 1.2) == pytest.approx(512 - 4 * 8 * 5 + 2 * 0.5 * 8)
    assert floor in surface_points(points, 1.2)
    assert floor not in surface_points(points, np.inf)


def test_a_void_is_filled() -> None:
    grid = np.array(list(itertools.product(range(-4, 5), repeat=3)), dtype=float)
    points = grid[np.abs(grid).max(axis=1) > 1]
    assert volume(points, 1.0) == pytest.approx(512)
    on_faces = np.flatnonzero(np.abs(points).max(axis=1) == 4)
    np.testing.assert_array_equal(surface_points(points, 1.0), on_faces)


IN_ONE_PLANE = np.column_stack([np.random.default_rng(1).random((9, 2)), np.ones(9)])


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.eye(3), IN_ONE_PLANE])
def test_points_that_span_no_volume_are_all_surface(points: np.ndarray) -> None:
    np.testing.assert_array_equal(surface_points(points, 1.0), np.arange(len(points)))
    assert volume(points, 1.0) == 0
