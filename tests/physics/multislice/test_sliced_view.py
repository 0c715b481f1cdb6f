"""Tilted slices: where things go, adjoints, and turning without loss."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.data import Grid
from benchsuite.physics.multislice.sliced_view import SlicedView, euler_zyz, sheared, slice_edges_A
from benchsuite.physics.rotations import random_rotation, rotation

GRID = Grid((32, 28, 30), 0.4)
CUBE = Grid((32, 32, 32), 0.4)
CHIRAL_A = np.array([[2.0, 0.5, 0.0], [-1.5, 1.6, 1.2], [0.0, -2.0, 1.6]])
ROTATIONS = {
    "tilt": rotation("y", 37),
    "steep": rotation("y", -80),
    "x": rotation("x", 25),
    "z": rotation("z", 33),
    "any axis": rotation((1.0, 1.0, 0.0), 40),
    "half turn": rotation("y", 180),
    "random": random_rotation(np.random.default_rng(4)),
}


def drawn(positions, grid, sigma=0.7):
    z, y, x = (grid.voxel_A * (np.arange(n) - n // 2) for n in grid.shape)
    volume = np.zeros(grid.shape, np.float32)
    for px, py, pz in positions:
        distance = (x - px) ** 2 + (y[:, None] - py) ** 2 + (z[:, None, None] - pz) ** 2
        volume += np.exp(-distance / (2 * sigma**2)).astype(np.float32)
    return volume


@pytest.mark.parametrize("name", ROTATIONS)
def test_euler_angles_make_the_rotation(name):
    alpha, beta, gamma = euler_zyz(ROTATIONS[name])
    made = rotation("z", alpha) @ rotation("y", beta) @ rotation("z", gamma)
    np.testing.assert_allclose(made, ROTATIONS[name], atol=1e-9)


@pytest.mark.parametrize("name", ROTATIONS)
@pytest.mark.parametrize(("kind", "error"), [("linear", 0.17), ("cubic", 0.03)])
def test_a_view_shows_the_specimen_rotated(name, kind, error):
    edges = slice_edges_A(GRID, GRID.voxel_A)
    slices = SlicedView(ROTATIONS[name], GRID, edges, kind).forward(drawn(CHIRAL_A, GRID)) / GRID.voxel_A
    assert np.abs(slices - drawn(CHIRAL_A @ ROTATIONS[name].T, GRID)).max() < error


@pytest.mark.parametrize("name", ROTATIONS)
@pytest.mark.parametrize("slice_A", [0.4, 1.0, 1.6, 100.0])
def test_the_adjoint_is_exact(name, slice_A):
    view = SlicedView(ROTATIONS[name], GRID, slice_edges_A(GRID, slice_A))
    rng = np.random.default_rng(0)
    volume = rng.normal(size=GRID.shape).astype(np.float32)
    image = rng.normal(size=(view.slices, *GRID.shape[1:])).astype(np.float32)
    projected = view.forward(volume)
    left, right = (projected * image).sum(dtype=np.float64), (volume * view.adjoint(image)).sum(dtype=np.float64)
    assert abs(left - right) < 1e-5 * np.linalg.norm(projected) * np.linalg.norm(image)


@pytest.mark.parametrize("slice_A", [0.4, 0.7, 1.6, 3.0, 100.0])
def test_slices_hold_the_whole_potential(slice_A):
    edges = slice_edges_A(GRID, slice_A)
    assert np.diff(edges).max() <= slice_A + 1e-9
    slices = SlicedView(np.eye(3), GRID, edges).forward(drawn(CHIRAL_A, GRID))
    np.testing.assert_allclose(slices.sum(axis=0), drawn(CHIRAL_A, GRID).sum(axis=0) * GRID.voxel_A, rtol=1e-5)


@pytest.mark.parametrize("angle", [0.0, 9.0, 37.0, 45.0, -80.0, 90.0, 180.0, 200.0])
def test_shears_turn_without_loss(angle):
    volume = drawn(CHIRAL_A, CUBE)
    turned = sheared(volume, angle)
    assert np.abs(turned - drawn(CHIRAL_A @ rotation("y", angle).T, CUBE)).max() < 1e-4
    assert np.abs(sheared(turned, -angle) - volume).max() < 1e-4
    many = volume
    for _ in range(20):
        many = sheared(sheared(many, angle), -angle)
    assert np.abs(many - volume).max() < 1e-3
