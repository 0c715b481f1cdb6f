"""The projector: exact adjoints, mass, position and handedness."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchsuite.contract_suite import CHIRAL_A, gaussian_series
from benchsuite.data import Grid
from benchsuite.physics.projection.projector import Projector
from benchsuite.physics.rotations import random_rotation, single_axis

sides = st.integers(3, 9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.tuples(sides, sides, sides), st.tuples(sides, sides), st.integers(1, 3), st.floats(0.3, 1.7))
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-10)])
def test_adjoint(dtype, tolerance, seed, shape, image, tilts, pixel):
    rng = np.random.default_rng(seed)
    rotations = np.stack([random_rotation(rng) for _ in range(tilts)])
    projector = Projector(rotations, Grid(shape, 0.7), image, pixel)
    volume = rng.standard_normal(shape).astype(dtype)
    images = rng.standard_normal((tilts, *image)).astype(dtype)
    left = float((projector.forward(volume).astype(np.float64) * images).sum())
    right = float((projector.adjoint(images).astype(np.float64) * volume).sum())
    scale = np.linalg.norm(projector.forward(np.abs(volume))) * np.linalg.norm(images) + 1e-30
    assert abs(left - right) <= tolerance * scale


def test_mass_is_kept_inside_the_image():
    rng = np.random.default_rng(0)
    volume = np.zeros((12, 12, 12), np.float64)
    volume[4:8, 4:8, 4:8] = rng.random((4, 4, 4))
    projector = Projector(np.stack([random_rotation(rng) for _ in range(5)]), Grid(volume.shape, 0.5), (24, 24), 0.4)
    mass = projector.forward(volume).sum(axis=(1, 2)) * 0.4**2
    assert np.allclose(mass, volume.sum() * 0.5**3)


def test_untilted_projection_is_the_sum_over_z():
    volume = np.random.default_rng(0).random((5, 6, 8))
    projector = Projector(np.eye(3)[None], Grid(volume.shape, 0.5), (6, 8), 0.5)
    assert np.allclose(projector.forward(volume)[0], 0.5 * volume.sum(axis=0))


def test_a_point_is_seen_where_its_rotated_position_says():
    rng = np.random.default_rng(2)
    rotations = np.stack([random_rotation(rng) for _ in range(6)])
    grid = Grid((15, 15, 15), 0.5)
    volume = np.zeros(grid.shape)
    index = np.array([[10, 4, 9]])
    volume[tuple(index[0])] = 1
    position = grid.positions(index)[0]
    images = Projector(rotations, grid, (31, 33), 0.4).forward(volume)
    y, x = 0.4 * (np.arange(31) - 15), 0.4 * (np.arange(33) - 16)
    for image, matrix in zip(images, rotations, strict=True):
        centre = np.array([(image.sum(axis=0) * x).sum(), (image.sum(axis=1) * y).sum()]) / image.sum()
        assert np.allclose(centre, (matrix @ position)[:2], atol=1e-9)


def test_gaussian_atoms_project_to_the_analytic_images():
    rotations = single_axis([-50, 0, 20, 70])
    series = gaussian_series(CHIRAL_A, rotations, side=48, step_A=0.25)
    grid = Grid((48, 48, 48), 0.25)
    index = np.stack(np.meshgrid(*(np.arange(48),) * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    points = grid.positions(index)
    volume = sum(np.exp(-((points - atom) ** 2).sum(axis=1) / 0.5) for atom in CHIRAL_A) / (2 * np.pi * 0.25) ** 1.5
    images = Projector(rotations, grid, (48, 48), 0.25).forward(volume.reshape(grid.shape))
    assert np.abs(images - series.data[:, 0]).max() < 0.06 * series.data.max()


def test_results_do_not_depend_on_threads():
    rng = np.random.default_rng(3)
    volume, rotations = rng.random((9, 8, 7), np.float32), single_axis([0, 33, 66])
    one, two = (Projector(rotations, Grid(volume.shape, 1.0), (9, 9), 1.0, threads=threads) for threads in (1, 2))
    images = one.forward(volume)
    assert np.array_equal(images, two.forward(volume))
    assert np.array_equal(one.adjoint(images), two.adjoint(images))


def test_wrong_shapes_are_refused():
    projector = Projector(np.eye(3)[None], Grid((4, 4, 4), 1.0), (4, 4), 1.0)
    with pytest.raises(ValueError, match="expected"):
        projector.forward(np.zeros((4, 4, 5)))
