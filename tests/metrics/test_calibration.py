"""Stated uncertainties against the truth, where the errors are drawn from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from benchsuite import contract_suite
from benchsuite.contract import Scored
from benchsuite.data import Reconstruction
from benchsuite.metrics.calibration import Calibration
from benchsuite.metrics.matching.matched import match_atoms
from benchsuite.metrics.tracing.classify import classify_by_intensity
from benchsuite.physics.rotations import rotation
from tests.metric_values import score

COUNT = 4000


def answer(surer=1.0, seed=0):
    """True atoms 3 Å apart, and an answer with its own deviation for every coordinate, the z ones the greatest."""
    rng = np.random.default_rng(seed)
    sites = 3.0 * np.array(list(np.ndindex(16, 16, 16))[:COUNT], dtype=float)
    truth = Atoms(["Cu", "Au"] * (COUNT // 2), sites - sites.mean(axis=0))
    sigma_pm = rng.uniform(1, 4, (COUNT, 3)) * [1, 1, 3]
    found = Atoms(numbers=np.zeros(COUNT, dtype=int), positions=truth.positions + 0.01 * sigma_pm * rng.standard_normal((COUNT, 3)))
    found.set_array("uncertainty_pm", sigma_pm / surer)
    found.set_array("intensity", np.tile([1.0, 3.0], COUNT // 2) + 0.01 * rng.standard_normal(COUNT))
    return truth, found


def seen(truth, found, registration="shift"):
    """What a metric sees of an answer that went through classification and matching."""
    named = classify_by_intensity(found, species=["Cu", "Au"], rng=np.random.default_rng(0))
    matched = match_atoms(truth, named, registration=registration)
    whole = contract_suite.scored_problem()
    return replace(whole, **vars(matched), reconstruction=Reconstruction(None, named, np.empty((0, 2)), 1.0))


def test_right_deviations_are_calibrated():
    truth, found = answer()
    whole = seen(truth, found)
    told = Calibration().measure(whole)
    assert told["within_1_sigma_pct"] == pytest.approx(68.27, abs=1.7)  # four standard deviations of the share of 12,000
    assert told["within_2_sigma_pct"] == pytest.approx(95.45, abs=0.8)
    expected = np.sqrt((found.arrays["uncertainty_pm"] ** 2).sum(axis=1).mean())
    assert told["stated_rmsd_pm"] == pytest.approx(expected, rel=1e-12)
    assert told["stated_rmsd_pm"] == pytest.approx(score(truth, whole.traced)["rmsd_pm"], rel=0.03)


def test_deviations_that_are_half_as_large_are_told():
    told = Calibration().measure(seen(*answer(surer=2.0)))
    assert told["within_1_sigma_pct"] == pytest.approx(38.3, abs=1.8)
    assert told["within_2_sigma_pct"] == pytest.approx(68.27, abs=1.7)


def test_deviations_belong_to_the_axes_of_the_answer():
    """An answer that lies on its side: what it calls z, where it is least sure, is y of the truth."""
    truth, found = answer()
    straight = seen(truth, found)
    side = rotation("x", 90)
    lying = replace(straight, traced=straight.traced.copy(), rotation=side)
    own = (straight.traced.positions - truth.positions) @ side.T
    lying.traced.positions = truth.positions + own
    assert Calibration().measure(lying) == pytest.approx(Calibration().measure(straight))
    assert Calibration().measure(replace(lying, rotation=np.eye(3)))["within_1_sigma_pct"] < 66


def test_atoms_of_unknown_uncertainty_do_not_count():
    truth, found = answer()
    sigma = found.arrays["uncertainty_pm"]
    sigma[::2, 2], sigma[1::4] = np.inf, 1e3
    told = Calibration().measure(seen(truth, found))
    assert told["stated_rmsd_pm"] == pytest.approx(np.sqrt((sigma[1::2] ** 2).sum(axis=1).mean()))


def test_no_statement_no_number():
    truth, found = answer()
    del found.arrays["uncertainty_pm"]
    plain = seen(truth, found)
    for one in (plain, replace(plain, truth=None, pairs=np.empty((0, 2), dtype=int)), replace(plain, traced=None)):
        told = Calibration().measure(one)
        assert len(told) == 3
        assert all(np.isnan(value) for value in told.values())


def test_calibration_keeps_the_contract():
    contract_suite.check_metric(Calibration())
    whole: Scored = contract_suite.scored_problem()
    assert whole.traced is not None
    whole.traced.set_array("uncertainty_pm", np.full((len(whole.traced), 3), 4.0))
    told = Calibration().measure(whole)
    assert told["within_2_sigma_pct"] == pytest.approx(100 * 8 / 9)
