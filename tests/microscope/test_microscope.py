"""The simulated microscope: positions, handedness, defocus, dose, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from benchsuite import microscope
from benchsuite.errors import PhysicsError
from benchsuite.geometry import random_rotation
from benchsuite.microscope.adf import simulate_adf
from benchsuite.microscope.limits import wavelength_A
from benchsuite.scenario.schema import (
    Acquisition,
    AnnularDetector,
    FrozenPhonons,
    Imperfections,
    Microscope,
    Scan,
    Simulation,
    Tilts,
    VolumeGrid,
)

SCAN = Scan(step_A=0.5, positions=(24, 24))
SIMULATION = Simulation(method="prism", sampling_A=0.2, prism_interpolation=2, margin_A=1.0)
DETECTOR = AnnularDetector(inner_mrad=22.0, outer_mrad=32.0)


def image(atoms, rotation=None, optics=None, simulation=SIMULATION, phonons=None, seed=0, scan=SCAN):
    matrix = np.eye(3) if rotation is None else rotation
    return simulate_adf(atoms, matrix, optics or Microscope(), simulation, scan, DETECTOR, phonons, seed)[0]


def centre_A(picture, step=0.5):
    weight = picture - np.median(picture)
    peak = np.unravel_index(picture.argmax(), picture.shape)
    weight = weight * (np.hypot(*np.meshgrid(*(np.arange(n) - p for n, p in zip(picture.shape, peak, strict=True)), indexing="ij")) < 3)
    y, x = (step * (np.arange(n) - n // 2) for n in picture.shape)
    return np.array([(weight.sum(axis=0) * x).sum(), (weight.sum(axis=1) * y).sum()]) / weight.sum()


def test_wavelength():
    assert wavelength_A(300) == pytest.approx(0.019687, rel=1e-4)
    assert wavelength_A(80) == pytest.approx(0.041757, rel=1e-4)


def test_an_atom_is_seen_at_its_rotated_position():
    rng = np.random.default_rng(1)
    position = np.array([2.4, -1.3, 1.8])
    for _ in range(3):
        matrix = random_rotation(rng)
        seen = centre_A(image(Atoms("Au", [position]), matrix))
        assert np.allclose(seen, (matrix @ position)[:2], atol=0.06)


def test_scan_of_unequal_sides():
    picture = image(Atoms("Au", [[2.0, -1.0, 0.0]]), scan=Scan(step_A=0.5, positions=(20, 24)))
    assert picture.shape == (20, 24)
    assert np.unravel_index(picture.argmax(), picture.shape) == (8, 16)


def test_zero_defocus_focuses_at_the_centre_and_positive_is_underfocus():
    thick = Simulation(method="multislice", sampling_A=0.2, margin_A=0.5)
    scan = Scan(step_A=0.5, positions=(24, 24))
    peaks = {}
    for z in (-4.0, 0.0, 4.0):
        for defocus in (-40.0, -4.0, 0.0, 4.0, 40.0):
            peaks[z, defocus] = image(Atoms("Au", [[0, 0, z]]), optics=Microscope(defocus_A=defocus, semiangle_mrad=30.0), simulation=thick, scan=scan).max()
    assert max((0.0, -40.0, 40.0), key=lambda d: peaks[0.0, d]) == 0.0
    assert peaks[4.0, 4.0] > peaks[4.0, -4.0]
    assert peaks[-4.0, -4.0] > peaks[-4.0, 4.0]


def test_prism_agrees_with_multislice():
    atoms = Atoms("AuCu", [[1.0, 0.5, 0.0], [-1.5, -1.0, 1.0]])
    direct = image(atoms, simulation=Simulation(method="multislice", sampling_A=0.2, margin_A=1.0))
    prism = image(atoms, simulation=Simulation(method="prism", sampling_A=0.2, prism_interpolation=1, margin_A=1.0))
    assert np.abs(direct - prism).max() < 2e-3 * direct.max()


def test_phonons_are_seeded():
    atoms = Atoms("Au", [[0.0, 0.0, 0.0]])
    phonons = FrozenPhonons(count=2, rms_A={"Au": 0.1})
    one, same, other = (image(atoms, phonons=phonons, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.allclose(one, other, rtol=1e-3, atol=0)


def test_a_particle_that_does_not_fit_is_refused():
    with pytest.raises(PhysicsError, match="box of 12"):
        image(Atoms("Au", [[5.5, 0, 0]]))
    microscope.check_fits(Atoms("Au", [[4.9, 0, 0]]), np.eye(3), 12.0, 1.0)


def test_detector_beyond_the_band_limit_is_refused():
    acquisition = Acquisition(tilts=Tilts(angles_deg=[0.0]), detector=AnnularDetector(inner_mrad=40.0, outer_mrad=200.0))
    problems = microscope.check_physics(Microscope(), Simulation(sampling_A=0.1), acquisition)
    assert len(problems) == 1
    assert "200" in problems[0]
    assert "0.0328" in problems[0]


def test_prism_window_smaller_than_the_probe_is_refused():
    acquisition = Acquisition(tilts=Tilts(angles_deg=[0.0]))
    simulation = Simulation(method="prism", prism_interpolation=8)
    assert any("prism_interpolation" in text for text in microscope.check_physics(Microscope(defocus_A=200.0), simulation, acquisition))


def test_dose_statistics():
    electrons = 37.0
    images = np.full((4, 1, 64, 64), 0.21)
    acquisition = Acquisition(
        tilts=Tilts(angles_deg=[0.0, 1.0, 2.0, 3.0]), scan=Scan(step_A=0.5), dose_e_per_A2=electrons * 4 / 0.25
    )
    data = microscope.record(images, acquisition, np.random.default_rng(0), np.random.default_rng(1))[0].astype(np.float64)
    counts = data * electrons
    assert np.allclose(counts, np.rint(counts), atol=1e-4)
    expected, n = 0.21 * electrons, images.size
    assert counts.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / n))
    assert counts.var() == pytest.approx(expected, rel=4 * np.sqrt((2 + 1 / expected) / n))


def test_without_dose_and_imperfections_the_data_are_the_images():
    images = np.random.default_rng(0).random((2, 1, 8, 8)).astype(np.float32)
    acquisition = Acquisition(tilts=Tilts(angles_deg=[0.0, 1.0]))
    data = microscope.record(images, acquisition, np.random.default_rng(0), np.random.default_rng(1))[0]
    assert np.array_equal(data, images)


def test_drift_and_background():
    images = np.zeros((1, 1, 32, 32))
    images[0, 0] = np.exp(-((np.arange(32)[:, None] - 16) ** 2 + (np.arange(32) - 16) ** 2) / 8)
    wrong = Imperfections(drift_A=0.3, background=0.1)
    acquisition = Acquisition(tilts=Tilts(angles_deg=[0.0]), scan=Scan(step_A=0.4), imperfections=wrong)
    data, drift = microscope.record(images, acquisition, np.random.default_rng(0), np.random.default_rng(1))[:2]
    assert data.min() == pytest.approx(0.1, abs=2e-3)
    axis = 0.4 * (np.arange(32) - 16)
    blob = data[0, 0].astype(float) - 0.1
    moved = np.array([(blob.sum(axis=0) * axis).sum(), (blob.sum(axis=1) * axis).sum()]) / blob.sum()
    assert np.allclose(moved, np.ravel(drift), atol=0.02)


def test_tilt_errors_are_about_the_tilt_axis():
    tilts = Tilts(range_deg=[-60.0, 60.0], count=40)
    rotations, errors = microscope.true_rotations(tilts, Imperfections(tilt_error_deg=0.5), np.random.default_rng(0))[:2]
    assert np.allclose(rotations[:, 1], [0, 1, 0])
    assert 0.3 < np.std(errors) < 0.7
    assert np.allclose(microscope.true_rotations(tilts, Imperfections(), np.random.default_rng(0))[0], microscope.rotations(tilts))


def test_matrices_that_are_no_rotations_are_refused():
    with pytest.raises(PhysicsError, match="not a rotation"):
        microscope.rotations(Tilts(matrices=[[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]]]))


def test_reconstruction_grid():
    grid = microscope.reconstruction_grid(Scan(step_A=0.4, positions=(64, 48)), VolumeGrid())
    assert grid.shape == (64, 64, 64)
    assert microscope.reconstruction_grid(Scan(), VolumeGrid(voxel_A=0.8)).shape == (32, 32, 32)
