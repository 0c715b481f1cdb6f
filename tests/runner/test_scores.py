"""What the scores stage makes of a volume, where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.data import Grid, Volume
from benchsuite.phantoms.rocksalt import Rocksalt
from benchsuite.phantoms.spinel import Spinel
from benchsuite.runner.stages.scores import lattice_scores, site_scores
from metrics.resolution import render

SHIFT_A = np.array([0.5, -0.3, 0.2])


@pytest.fixture(scope="module")
def specimen():
    return Spinel(Spinel.Params(edge_A=20.0)).build(np.random.default_rng(0))


def seen(atoms, shift_A=0.0):
    moved = atoms.copy()
    moved.positions += shift_A
    return Volume(render(moved, Grid((96,) * 3, 0.4), 0.5), 0.4)


def test_a_perfect_volume_has_all_sites_and_the_true_lattice(specimen):
    scores = site_scores(seen(specimen, SHIFT_A), specimen, SHIFT_A)
    assert scores["sites_found_Co_pct"] == 100
    assert "sites_found_O_pct" not in scores
    assert scores["site_displacement_pm"] < 2
    lattice = lattice_scores(seen(specimen, SHIFT_A), specimen)
    assert lattice["lattice_rotation_deg"] < 0.05
    assert lattice["lattice_strain_pct"] < 0.2


def test_atoms_that_are_not_there_are_missing(specimen):
    cations = np.flatnonzero(specimen.symbols == "Co")
    gone = np.random.default_rng(0).choice(cations, len(cations) // 10, replace=False)
    rest = specimen[np.setdiff1d(np.arange(len(specimen)), gone)]
    found = site_scores(seen(rest), specimen, np.zeros(3))["sites_found_Co_pct"]
    assert found == pytest.approx(100 * (1 - len(gone) / len(cations)), abs=0.5)


def test_an_empty_volume_has_no_numbers(specimen):
    empty = Volume(np.zeros((48,) * 3, np.float32), 0.4)
    scores = site_scores(empty, specimen, np.zeros(3)) | lattice_scores(empty, specimen)
    assert scores.pop("sites_found_Co_pct") == 0
    assert all(np.isnan(value) for value in scores.values())


def test_a_specimen_that_names_no_crystal_is_judged_by_all_its_atoms():
    atoms = Rocksalt(Rocksalt.Params()).build(np.random.default_rng(0))
    scores = site_scores(seen(atoms), atoms, np.zeros(3))
    assert scores["sites_found_Ba_pct"] > 99
    assert "sites_found_O_pct" in scores
    assert lattice_scores(seen(atoms), atoms) == {}
