"""The phase of slices: against abTEM's potential, at the right place and depth; correlations of slices."""

from __future__ import annotations

import abtem
import numpy as np
import pytest
from ase import Atoms

from benchsuite.data import Grid
from benchsuite.metrics.phase import correlation, correlations, slice_phases
from benchsuite.physics.electrons import interaction_per_VA

GRID = Grid((8, 64, 48), 0.4)
EDGES = np.array([-45.0, -15.0, 15.0, 45.0])


def test_phases_are_those_of_abtem_in_the_slice_of_the_atom():
    atoms = Atoms("AuSi", [(1.3, -2.2, -30.0), (-3.0, 4.0, 31.0)])
    found = slice_phases(atoms, GRID, EDGES, 300.0)
    assert found.shape == (3, 64, 48)
    assert not found[1].any()
    placed = atoms.copy()
    placed.positions[:, :2] -= GRID.origin_A[:2]
    placed.positions[:, 2] += 45
    placed.set_cell([48 * 0.4, 64 * 0.4, 90.0])
    potential = abtem.Potential(placed, gpts=(192, 256), slice_thickness=30, parametrization="lobato", projection="infinite")
    fine = potential.build(lazy=False).array.swapaxes(1, 2) * interaction_per_VA(300.0)
    for k in (0, 2):
        assert found[k].sum() == pytest.approx(fine[k].sum() / 16, rel=0.01)
        row, column = np.unravel_index(fine[k].argmax(), fine[k].shape)
        assert np.hypot(*(np.unravel_index(found[k].argmax(), found[k].shape) - np.array([row, column]) / 4)) < 1


def test_slices_are_told_apart():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(2, 20, 20))
    table = correlations(3 * truth + 7, truth)
    np.testing.assert_allclose(np.diag(table), 1)
    assert np.abs(table[0, 1]) < 0.2
    assert np.isnan(correlation(np.ones((4, 4)), truth[0, :4, :4]))
