"""Lattices that were put in are found again, without a hint of their orientation."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ase import Atoms
from scipy.spatial import cKDTree

from benchsuite.data import Grid, Volume
from benchsuite.metrics.lattice import cube_rotations, find_lattice, misorientation_deg, orientations
from benchsuite.metrics.resolution import render
from benchsuite.phantoms.lattice import FCC, ROCKSALT, sites_within
from benchsuite.physics.rotations import random_rotation, rotation_from_vector


def particle(lattice_A, basis, orientation, radius_A=14.0, strain=None):
    sites, which = sites_within(radius_A, lattice_A, basis, np.array([0.1, 0.3, 0.2]), orientation)
    return sites if strain is None else sites @ (np.eye(3) + strain).T, which


def test_every_orientation_is_near_one_that_is_tried():
    tried, cube = orientations(5.0), cube_rotations()
    assert len(cube) == 24
    rng = np.random.default_rng(0)
    for _ in range(20):
        traces = np.einsum("aij,nji->an", tried @ random_rotation(rng).T, cube)
        assert np.rad2deg(np.arccos((traces.max() - 1) / 2)) < 5.0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("lattice_A", "basis", "element"), [(4.08, FCC, "Au"), (5.54, ROCKSALT, "Ba")], ids=["fcc", "rocksalt"])
def test_a_turned_lattice_is_found_to_a_tenth_of_a_degree(lattice_A, basis, element, seed):
    rng = np.random.default_rng(seed)
    orientation = random_rotation(rng)
    sites, which = particle(lattice_A, basis, orientation)
    atoms = Atoms(np.where(which < 4, element, "O").tolist(), sites)
    data = render(atoms, Grid((96,) * 3, 0.4), 0.5)
    data += data.std() * rng.standard_normal(data.shape).astype(np.float32)
    found = find_lattice(Volume(data, 0.4), lattice_A, FCC)
    assert misorientation_deg(found.orientation, orientation) < 0.1
    assert np.abs(np.linalg.eigvalsh(found.strain)).max() < 0.004
    strong = sites[which < 4]
    nearest = cKDTree(found.sites(Volume(data, 0.4), FCC)).query(strong)[0]
    assert np.median(nearest) < 0.06


def test_a_strained_lattice_is_found():
    strain = np.array([[0.012, 0.004, 0.0], [0.004, -0.008, 0.0], [0.0, 0.0, 0.0]])
    sites, _ = particle(4.08, FCC, rotation_from_vector(np.array([0.2, -0.5, 0.3])), strain=strain)
    volume = Volume(render(Atoms(["Au"] * len(sites), sites), Grid((96,) * 3, 0.4), 0.5), 0.4)
    np.testing.assert_allclose(find_lattice(volume, 4.08, FCC).strain, strain, atol=0.001)


def test_a_spinel_behind_a_missing_wedge(spinel):
    atoms, volume = spinel
    basis = np.reshape(atoms.info["crystal_sites"], (-1, 3))
    started = time.perf_counter()
    found = find_lattice(volume, atoms.info["lattice_A"], basis)
    assert time.perf_counter() - started < 10  # 0.8 s on an idle core
    true = rotation_from_vector(np.array(atoms.info["crystal_rotation_rad"]))
    assert misorientation_deg(found.orientation, true) < 0.1
    assert np.abs(np.linalg.eigvalsh(found.strain)).max() < 0.002
    sites = found.sites(volume, basis)
    distance, _ = cKDTree(sites).query(atoms.positions[atoms.numbers == 27])
    assert (distance < 0.1).mean() > 0.95


def test_noise_has_no_lattice():
    noise = np.random.default_rng(0).standard_normal((64,) * 3).astype(np.float32)
    assert find_lattice(Volume(noise, 0.4), 4.08, FCC) is None
