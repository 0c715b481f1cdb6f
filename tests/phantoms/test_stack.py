"""Discs at several depths, and a box that is higher than it is wide."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.contract.settings import Acquisition, AnnularDetector, Microscope, Scan, Simulation
from benchsuite.errors import PhysicsError
from benchsuite.microscope import simulate
from benchsuite.microscope.simulation import empty_series
from benchsuite.phantoms.stack import Stack


def stack(**params):
    return Stack(Stack.Params(**params)).build(np.random.default_rng(0))


def test_layers_are_thin_apart_and_turned():
    atoms = stack(separation_A=60.0, radius_A=9.0)
    upper, lower = (atoms.positions[sign * atoms.positions[:, 2] > 0] for sign in (-1, 1))
    assert lower[:, 2].mean() - upper[:, 2].mean() == pytest.approx(60.0, abs=0.05)
    assert np.ptp(upper[:, 2]) < 4.08
    assert np.hypot(*upper[:, :2].T).max() < 9.5
    nearest = np.sort(np.linalg.norm(upper[:, None] - upper[None], axis=2), axis=1)[:, 1]
    assert nearest.min() == pytest.approx(4.08 / np.sqrt(2), abs=1e-6)


def test_a_box_may_be_higher_than_wide():
    atoms = stack(separation_A=40.0, radius_A=4.0)
    scan, detector = Scan(step_A=0.8, positions=(24, 24)), AnnularDetector(inner_mrad=24, outer_mrad=30)
    high = Simulation(method="multislice", sampling_A=0.2, slice_A=4.0, depth_A=60.0)
    acquisition = Acquisition(tilts={"angles_deg": [0]}, scan=scan, detector=detector)
    image = simulate(atoms, np.eye(3), Microscope(), high, acquisition)["adf"]
    assert image.shape == (1, 24, 24)
    assert image.max() > 10 * image[0, 0, 0]
    with pytest.raises(PhysicsError, match="does not fit its box"):
        simulate(atoms, np.eye(3), Microscope(), high.model_copy(update={"depth_A": None}), acquisition)


def test_a_series_from_the_entrance_of_a_high_box_is_defocused_from_its_centre():
    scan = Scan(step_A=0.8, positions=(24, 24))
    acquisition = Acquisition(tilts={"angles_deg": [0]}, scan=scan, detector=AnnularDetector(inner_mrad=24, outer_mrad=30))
    microscope = Microscope(focal_plane="entrance", defocus_A=10.0)
    for depth_A, centred_A in ((60.0, -20.0), (None, 10.0 - 0.8 * 24 / 2)):
        series = empty_series(microscope, Simulation(depth_A=depth_A), acquisition, "adf")
        assert series.defocus_A == pytest.approx(centred_A)
