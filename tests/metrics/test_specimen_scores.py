"""What the metrics of crystals, phases and alignments make of answers that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchsuite import contract_suite
from benchsuite.contract.metric import Motion
from benchsuite.data import Grid, Optics, Preprocessed, TiltSeries, Volume
from benchsuite.metrics.alignment import AlignmentErrors
from benchsuite.metrics.lattice import lattice_scores
from benchsuite.metrics.phase import PhaseCorrelations, projected_phase
from benchsuite.metrics.resolution import render
from benchsuite.metrics.sites import site_scores
from benchsuite.phantoms.rocksalt import Rocksalt
from benchsuite.phantoms.spinel import Spinel
from benchsuite.physics.rotations import rotation, single_axis

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


@pytest.fixture
def recorded():
    """What a metric sees of a series of true phases, with its true drifts and rotations."""
    rng, count, step = np.random.default_rng(2), 7, 0.4
    nominal = single_axis(np.linspace(-60, 60, count))
    true = np.stack([rotation("y", 2 * rng.standard_normal()) @ matrix for matrix in nominal])
    drift_A = rng.uniform(-1.5, 1.5, (count, 2))
    particle = Spinel(Spinel.Params(edge_A=7.0)).build(rng)
    empty = TiltSeries("phase", np.zeros((count, 1, 64, 64), np.float32), nominal, step, Optics(200.0, 25.0), np.zeros(1))
    images = [projected_phase(particle, r, d, empty) for r, d in zip(true, drift_A, strict=True)]
    series = replace(empty, data=np.stack(images)[:, None])
    motion = Motion(true, drift_A[:, None])
    return replace(contract_suite.scored_problem(), specimen=particle, series=series, recorded=series, motion=motion)


def scores_of(recorded, *preprocessed):
    scored = replace(recorded, preprocessed=preprocessed)
    return {**PhaseCorrelations().measure(scored), **AlignmentErrors().measure(scored)}


def test_phases_are_compared_at_the_true_angle_and_drift(recorded):
    series = recorded.series
    assert scores_of(recorded, Preprocessed(series))["phase_correlation"] == pytest.approx(1, abs=1e-5)
    mirrored = replace(series, data=series.data[..., ::-1].copy())
    assert scores_of(recorded, Preprocessed(mirrored))["phase_correlation"] < 0.9


def test_an_alignment_that_finds_the_drift_has_no_error(recorded):
    series, true, drift_A = recorded.series, recorded.motion.rotations, recorded.motion.drift_A[:, 0]
    turn = rotation("x", 30)
    perfect = replace(series, rotations=true @ turn)  # of a specimen that lies otherwise, and somewhere else
    found = drift_A + (true @ [1.0, -2.0, 3.0])[:, :2]
    scores = scores_of(recorded, Preprocessed(perfect, found))
    assert scores["alignment_error_px"] < 1e-6
    assert scores["alignment_error_deg"] < 1e-4
    assert "phase_correlation" not in scores  # nothing is left of the phases before the alignment
    worse = scores_of(recorded, Preprocessed(series, -found))
    assert worse["alignment_error_px"] > 1
    assert worse["alignment_error_deg"] > 1


def test_alignments_add_up(recorded):
    whole = replace(recorded.series, rotations=recorded.motion.rotations)
    steps = [Preprocessed(whole, part * recorded.motion.drift_A[:, 0]) for part in (0.75, 0.25)]
    assert scores_of(recorded, *steps)["alignment_error_px"] < 1e-6


def test_a_series_that_was_not_simulated_hides_no_drift_to_compare_with(recorded):
    steps = (Preprocessed(recorded.series, recorded.motion.drift_A[:, 0]),)
    assert AlignmentErrors().measure(replace(recorded, preprocessed=steps, motion=None)) == {}
