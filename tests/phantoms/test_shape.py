"""Surfaces, displacements and centring."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.errors import BenchsuiteError
from benchsuite.phantoms.lattice import FCC, ROCKSALT, random_orientation, sites_within, zone_axis_distance_deg
from benchsuite.phantoms.shape import bounding_sphere, centred, displaced, random_surface, shortest_distance, sphere_points


@pytest.mark.parametrize("seed", range(5))
def test_surface_has_the_volume_and_the_irregularity_asked_for(seed: int) -> None:
    radii = random_surface(np.random.default_rng(seed), 0.1)(sphere_points(3001))
    assert (radii**3).mean() == pytest.approx(1, abs=2e-3)
    assert radii.std() / radii.mean() == pytest.approx(0.1, rel=0.05)


def test_surface_without_irregularity_is_the_sphere() -> None:
    np.testing.assert_allclose(random_surface(np.random.default_rng(0), 0.0)(sphere_points(100)), 1)


def test_surface_is_smooth() -> None:
    near = sphere_points(500)
    moved = near + 1e-3 * np.random.default_rng(1).standard_normal(near.shape)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    surface = random_surface(np.random.default_rng(0), 0.1)
    assert np.abs(surface(near) - surface(moved)).max() < 5e-3


@pytest.mark.parametrize(("basis", "per_cell"), [(FCC, 4), (ROCKSALT, 8)])
def test_lattice_has_its_density_and_its_neighbour_distance(basis: np.ndarray, per_cell: int) -> None:
    orientation, _ = random_orientation(np.random.default_rng(3), 5.0)
    sites, which = sites_within(20.0, 4.0, basis, np.array([0.1, 0.7, 0.4]), orientation)
    assert len(sites) == pytest.approx(per_cell / 4.0**3 * 4 / 3 * np.pi * 20.0**3, rel=0.02)
    assert shortest_distance(sites) == pytest.approx(4.0 / np.sqrt(2) if per_cell == 4 else 2.0)
    assert np.bincount(which).std() < 0.05 * len(sites) / per_cell


def test_zone_axes_keep_away_from_beam_and_tilt_axis() -> None:
    assert zone_axis_distance_deg(np.eye(3)) == pytest.approx(0, abs=1e-6)
    rng = np.random.default_rng(0)
    nearest = [random_orientation(rng, 8.0)[1] for _ in range(50)]
    assert min(nearest) >= 8.0
    free = [random_orientation(rng, 0.0)[1] for _ in range(50)]
    assert min(free) < 8.0


def test_displacements_have_exactly_the_rms_and_leave_no_pair_too_near() -> None:
    sites, _ = sites_within(15.0, 3.78, FCC, np.full(3, 0.3), np.eye(3))
    rng = np.random.default_rng(0)
    moved = displaced(rng, sites, 0.35)
    assert np.sqrt(((moved - sites) ** 2).sum(axis=1).mean()) == pytest.approx(0.35, rel=1e-9)
    assert shortest_distance(moved) >= 0.75 * 3.78 / np.sqrt(2)
    per_axis = np.sqrt(((moved - sites) ** 2).mean(axis=0))
    np.testing.assert_allclose(per_axis, 0.35 / np.sqrt(3), rtol=0.1)


def test_displacements_that_cannot_be_are_refused_with_the_number() -> None:
    sites, _ = sites_within(10.0, 3.78, FCC, np.zeros(3), np.eye(3))
    with pytest.raises(BenchsuiteError, match=r"displacement_rms_A: 3 Å is too large"):
        displaced(np.random.default_rng(0), sites, 3.0)


def test_bounding_sphere_of_points_with_a_known_one() -> None:
    points = np.concatenate([sphere_points(400) * 7.0, [[0.0, 0.0, 6.9]] * 300])
    middle = np.array([1.0, -2.0, 3.0])
    points += middle
    centre, radius = bounding_sphere(points)
    np.testing.assert_allclose(centre, middle, atol=0.02)
    assert radius == pytest.approx(7.0, rel=2e-3)
    np.testing.assert_allclose(bounding_sphere(centred(points))[0], 0, atol=0.02)
