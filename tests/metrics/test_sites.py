"""Sites, displacements and vacancies that were put in."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms

from benchsuite.data import Grid, Volume
from benchsuite.metrics.resolution import render
from benchsuite.metrics.sites import climb, find_sites

GRID = Grid((64,) * 3, 0.4)
SITES = 2.8 * (np.array(list(itertools.product(range(-3, 4), repeat=3)), float) + 0.07)


def volume(positions, symbols=None):
    return Volume(render(Atoms(symbols or ["Co"] * len(positions), positions), GRID, 0.6), GRID.voxel_A)


def test_displacements_are_found():
    moved = np.random.default_rng(0).normal(0, (0.1, 0.2, 0.3), SITES.shape)
    found = find_sites(volume(SITES + moved), SITES, blur_A=0.2)
    assert found.bound_A == pytest.approx(1.4)
    assert found.found.mean() > 0.99
    held = found.found
    assert np.sqrt(((found.displacement_A - moved)[held] ** 2).sum(axis=1).mean()) < 0.05
    np.testing.assert_allclose(
        np.abs(found.displacement_A[held]).mean(axis=0), np.sqrt(2 / np.pi) * np.array([0.1, 0.2, 0.3]), rtol=0.1
    )


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_vacancies_are_found(noise):
    rng = np.random.default_rng(1)
    empty = rng.choice(len(SITES), 30, replace=False)
    there = np.delete(SITES, empty, axis=0)
    full = volume(there)
    data = full.data + noise * full.data.std() * rng.standard_normal(full.data.shape).astype(np.float32)
    found = find_sites(Volume(data, GRID.voxel_A), SITES)
    assert set(np.flatnonzero(~found.found)) == set(empty)
    assert np.isnan(found.displacement_A[empty]).all()


def test_each_reason_to_be_missing():
    there = np.array([[0.0, 0, 0], [6.0, 0, 0], [0, 6.0, 0], [0, -6.0, 0]])
    asked = np.array([[0.1, 0, 0], [-0.5, 0, 0], [6.0, 0, 1.2], [0, 6.0, 0], [0, -6.0, 0], [40.0, 0, 0]])
    found = find_sites(volume(there, ["Co", "Co", "Co", "H"]), asked, bound_A=0.9)
    assert found.outcome.tolist() == ["found", "shared", "far", "found", "weak", "far"]


def test_sites_of_noise_are_displaced_at_random():
    noise = np.random.default_rng(0).standard_normal(GRID.shape).astype(np.float32)
    found = find_sites(Volume(noise, GRID.voxel_A), SITES)
    assert 0.5 < found.found.mean() < 0.9
    assert np.nanmean(np.abs(found.displacement_A), axis=0) == pytest.approx(np.full(3, found.bound_A / 3), rel=0.15)


def test_a_climb_ends_at_a_maximum():
    data = np.random.default_rng(0).random((9, 9, 9))
    starts = np.argwhere(data > -1)
    tops = climb(data, starts)
    for z, y, x in np.unique(tops, axis=0):
        near = data[max(0, z - 1) : z + 2, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        assert data[z, y, x] == near.max()
    assert climb(data, np.empty((0, 3), dtype=int)).shape == (0, 3)


def test_an_empty_volume_has_no_atoms():
    assert not find_sites(Volume(np.zeros(GRID.shape, np.float32), GRID.voxel_A), SITES).found.any()
