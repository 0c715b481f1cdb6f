"""A wrong sign of the tilt angles, or a flip along the axis, mirrors the volume and fits as well; two undo one another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from benchsuite import contract_suite
from benchsuite.contract import Context
from benchsuite.data import Grid, Volume
from benchsuite.metrics.matching.registration import register
from benchsuite.metrics.r_factor import projection_r_factor
from benchsuite.metrics.tracing.trace import trace_atoms
from benchsuite.physics.rotations import single_axis, tilt_angles
from benchsuite.reconstructors.wbp import WBP

ANGLES = tilt_angles(-90, 90, 18)
GRID = Grid((24, 24, 24), 0.5)
HANDS = {
    "as recorded": ({}, False),
    "sign": ({"tilts": {"angles_deg": ANGLES.tolist(), "sign": -1}}, True),
    "flip along the axis": ({"flip": ["y"]}, True),
    "flip across the axis": ({"flip": ["x"]}, False),
    "sign and flip across": ({"flip": ["x"], "tilts": {"angles_deg": ANGLES.tolist(), "sign": -1}}, True),
    "sign and flip along": ({"flip": ["y"], "tilts": {"angles_deg": ANGLES.tolist(), "sign": -1}}, False),
}


def chiral():
    """Nine atoms that no rotation carries to their mirror image, around those of the contract's specimen."""
    more = np.array([[4.0, 1.5, 1.0], [-3.5, -2.0, 3.0], [0.5, 4.5, -2.0], [3.0, -4.0, -1.5], [-4.5, 2.5, -3.0]])
    return np.concatenate([contract_suite.CHIRAL_A, more]) * 0.8


def in_memory(series):
    return replace(series, data=np.asarray(series.data))


@pytest.mark.parametrize("case", HANDS)
def test_images_do_not_know_the_hand_and_a_truth_does(tmp_path, read, case):
    keys, mirrored = HANDS[case]
    images = contract_suite.gaussian_series(chiral(), single_axis(ANGLES)).data[:, 0]
    np.save(tmp_path / "s.npy", images)
    series = in_memory(read(tmp_path / "s.npy", **{"tilts": ANGLES.tolist(), "scan_step_A": 0.5, **keys}))
    volume = [one.volume for one in WBP().reconstruct(series, Context(GRID, np.random.default_rng(0)))][-1]
    error = projection_r_factor(Volume(np.asarray(volume), 0.5), series)[0]
    plain = in_memory(read(tmp_path / "s.npy", tilts=ANGLES.tolist(), scan_step_A=0.5))
    right = [one.volume for one in WBP().reconstruct(plain, Context(GRID, np.random.default_rng(0)))][-1]
    assert error == pytest.approx(projection_r_factor(Volume(np.asarray(right), 0.5), plain)[0], rel=0.02)
    traced = trace_atoms(Volume(np.asarray(volume), 0.5), blur_A=0.4, minimum_distance_A=1.5, threshold=0.3)
    found = register(Atoms(np.full(9, 79), chiral()), Atoms(np.full(len(traced), 79), traced.positions))
    assert found.mirror_fits_better == mirrored
    assert max(found.best.fit, found.mirrored.fit) > 0.9
