"""Amorphous packings and the five-fold twin: distances, densities, counts, and the limits of what can be packed."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial import cKDTree

from benchsuite.errors import BenchsuiteError
from benchsuite.phantoms.amorphous import Amorphous
from benchsuite.phantoms.decahedron import GRAIN, Decahedron


def amorphous(seed=0, **params):
    return Amorphous(Amorphous.Params(**params)).build(np.random.default_rng(seed))


def nearest(atoms):
    return cKDTree(atoms.positions).query(atoms.positions, k=2)[0][:, 1]


@pytest.mark.parametrize("nearest_A", [(2.32, 2.36), (2.32, 2.53)])
@pytest.mark.parametrize("count", [2, 200, 5000])
def test_every_nearest_neighbour_is_in_the_range(count, nearest_A):
    atoms = amorphous(atoms=count, nearest_A=nearest_A)
    assert len(atoms) == count
    assert set(atoms.symbols) == {"Si"}
    distance = nearest(atoms)
    assert distance.min() >= nearest_A[0] - 1e-7
    assert distance.max() <= nearest_A[1] + 1e-7


def test_the_density_is_that_of_the_papers():
    atoms = amorphous(atoms=25_000)
    assert atoms.info["extent_A"] == pytest.approx(90, abs=5)
    radius = atoms.info["extent_A"] / 2
    inner = np.linalg.norm(atoms.positions, axis=1) < 0.8 * radius
    assert inner.sum() / (4 / 3 * np.pi * (0.8 * radius) ** 3) == pytest.approx(0.058, rel=0.05)


def test_the_radial_distribution_is_of_something_without_order():
    atoms = amorphous(atoms=25_000)
    distance, rdf = atoms.info["rdf_distance_A"], atoms.info["rdf"]
    assert (rdf[distance < 2.3] == 0).all()
    assert 5 < rdf[np.abs(distance - 2.35).argmin()] < 12
    assert rdf[distance > 5].max() < 1.3
    shells = 4 * np.pi * distance**2 * 0.1 * 0.058
    within = (cKDTree(atoms.positions).count_neighbors(cKDTree(atoms.positions), 6.0) - len(atoms)) / len(atoms)
    assert (rdf * shells)[distance < 6].sum() == pytest.approx(within, rel=0.01)


def test_packings_are_drawn_from_the_seed():
    first, again, other = (amorphous(seed, atoms=100).positions for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_impossible_density_is_refused():
    with pytest.raises(BenchsuiteError, match=r"phantom.density_per_A3: 200 atoms in a sphere of .* find no packing"):
        amorphous(atoms=200, density_per_A3=0.14)
    with pytest.raises(ValidationError, match="above 0 and below the second"):
        Amorphous.Params(nearest_A=(2.5, 2.4))


def test_the_twin_of_the_paper():
    atoms = Decahedron(Decahedron.Params(p=9, q=9, r=9)).build(np.random.default_rng(0))
    assert len(atoms) == 25_790
    assert atoms.info["zone_axis_deg"] >= 4


def test_twins_have_five_grains_of_fcc():
    atoms = Decahedron(Decahedron.Params(p=5, q=6, r=2, zone_axis_clearance_deg=0)).build(np.random.default_rng(1))
    neighbours = cKDTree(atoms.positions).query_ball_point(atoms.positions, 3.3)
    assert np.bincount([len(n) - 1 for n in neighbours])[12] > len(atoms) / 2
    assert np.linalg.det(GRAIN) == pytest.approx(1)
    assert nearest(atoms).min() == pytest.approx(3.92 / np.sqrt(2), rel=0.02)
    # all atoms lie on columns along the five-fold axis, the direction in which they are nearest
    inertia = np.linalg.eigvalsh(np.cov(atoms.positions.T))
    assert inertia[0] == pytest.approx(inertia[1], rel=1e-6) or inertia[1] == pytest.approx(inertia[2], rel=1e-6)
