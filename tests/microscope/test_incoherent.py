"""Images without multiple scattering: where things are, how bright (against every wave by brute force), in which focus."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from benchsuite.contract.settings import Acquisition, AnnularDetector, FrozenPhonons, Microscope, Scan, Simulation
from benchsuite.errors import PhysicsError
from benchsuite.microscope import check_physics, simulate, simulate_cost
from benchsuite.microscope.engines.incoherent import _phase_of_one
from benchsuite.physics.electrons import wavelength_A
from benchsuite.physics.rotations import rotation

SCAN = Scan(step_A=0.2, positions=(60, 60))
DETECTOR = AnnularDetector(inner_mrad=60, outer_mrad=150)
STILL = np.eye(3)
TILTS = {"range_deg": (-60, 60), "count": 5}


def simulated(atoms, turned=STILL, scan=SCAN, phonons=None, sampling_A=0.1, slice_A=2.0, **microscope):
    settings = Simulation(engine="incoherent", sampling_A=sampling_A, slice_A=slice_A)
    acquisition = Acquisition(tilts=TILTS, scan=scan, detector=DETECTOR, frozen_phonons=phonons)
    return simulate(atoms, turned, Microscope(semiangle_mrad=25.0, **microscope), settings, acquisition)["adf"]


def scattered_into_the_detector(element, semiangle_mrad=25.0, raster=32, pixels_per_step=24, pixel_A=0.0125):
    """Å²: the annulus signal of one atom summed over probe positions, every exit wave by brute force, no band limit.

    The raster is finer than λ/(2α), so that the sum is exact; by symmetry a quarter of it is enough.
    """
    pixels, step = raster * pixels_per_step, pixels_per_step * pixel_A
    transmission = np.exp(1j * _phase_of_one(element, "lobato", 300.0, pixels, pixel_A))
    q = np.fft.fftfreq(pixels, pixel_A)
    angle = 1e3 * wavelength_A(300.0) * np.hypot(q[:, None], q)
    annulus = (angle >= DETECTOR.inner_mrad) & (angle < DETECTOR.outer_mrad)
    aperture = (angle <= semiangle_mrad) / np.sqrt((angle <= semiangle_mrad).sum())
    half = np.exp(-1j * np.pi * (q[:, None] + q) * step)
    probe = np.fft.ifft2(aperture * half)
    shifts = pixels_per_step * np.arange(raster // 2)
    waves = (np.roll(probe, (down, across), (0, 1)) * transmission for down in shifts for across in shifts)
    return 4 * sum((np.abs(np.fft.fft2(wave))[annulus] ** 2).sum() for wave in waves) * step**2


@pytest.mark.parametrize("element", ["Si", "Pt"])
def test_one_atom_scatters_what_its_phase_does_to_the_wave(element):
    image = simulated(Atoms(element, [(0.26, 0.05, 0.0)]), sampling_A=0.05)
    assert image.sum() * SCAN.step_A**2 == pytest.approx(scattered_into_the_detector(element), rel=0.01)
    assert np.unravel_index(image[0].argmax(), SCAN.positions) == (30, 31)


def test_atoms_are_where_the_rotation_puts_them():
    atoms = Atoms("PtSi", [(3.0, 1.0, -2.0), (-2.0, -3.0, 1.0)])
    turned = rotation("y", 40.0)
    image = simulated(atoms, turned)[0]
    for atom, (x, y, _) in zip(atoms, atoms.positions @ turned.T, strict=True):
        row, column = round(y / 0.2) + 30, round(x / 0.2) + 30
        around = image[row - 3 : row + 4, column - 3 : column + 4]
        grid = 0.2 * (np.mgrid[row - 3 : row + 4, column - 3 : column + 4] - 30)
        centre = (grid * around).sum(axis=(1, 2)) / around.sum()
        np.testing.assert_allclose(centre, (y, x), atol=0.03, err_msg=atom.symbol)


def test_the_depth_in_focus_is_the_defocus():
    """Positive defocus puts the crossover below the centre, as everywhere."""
    optics = Microscope(semiangle_mrad=50.0, defocus_A=(-5.0, 5.0))
    settings = Simulation(engine="incoherent", sampling_A=0.05, slice_A=1.0, margin_A=0.5)
    images = Acquisition(tilts=TILTS, scan=SCAN, detector=DETECTOR)
    for depth, sharp in ((-5.0, 0), (5.0, 1)):
        atom = Atoms("Si", [(0, 0, depth)])
        peaks = simulate(atom, STILL, optics, settings, images)["adf"].max(axis=(1, 2))
        assert peaks[sharp] > 1.1 * peaks[1 - sharp]


def test_focus_moves_intensity_and_neither_makes_nor_destroys_it():
    images = simulated(Atoms("Si", [(0, 0, 0)]), defocus_A=(0.0, 20.0, 40.0))
    totals = images.sum(axis=(1, 2))
    np.testing.assert_allclose(totals, totals[0], rtol=0.02)
    assert images[0].max() > images[1].max() > images[2].max()


def test_thermal_motion_blurs_and_keeps_the_sum():
    atom = Atoms("Si", [(0, 0, 0)])
    still, warm = simulated(atom), simulated(atom, phonons=FrozenPhonons(count=1, rms_A={"Si": 0.2}))
    assert warm.sum() == pytest.approx(still.sum(), rel=1e-3)
    assert warm.max() < 0.9 * still.max()
    with pytest.raises(PhysicsError, match="no thermal displacement for Si"):
        simulated(atom, phonons=FrozenPhonons(count=1, rms_A={"Au": 0.1}))


def test_atoms_of_one_slice_add_their_phases_and_of_two_their_intensities():
    one = simulated(Atoms("Si", [(0, 0, 0.2)])).sum()
    same = simulated(Atoms("Si2", [(0, 0, 0.2), (0, 0, 0.8)])).sum()
    apart = simulated(Atoms("Si2", [(0, 0, -1.0), (0, 0, 1.0)])).sum()
    assert apart == pytest.approx(2 * one, rel=0.01)
    assert same > 2.5 * one


def test_unsupported_settings_are_refused():
    engine = Simulation(engine="incoherent", sampling_A=0.3)
    images = Acquisition(tilts=TILTS, detector={"inner_mrad": 60, "outer_mrad": 300})
    found = "\n".join(check_physics(Microscope(semiangle_mrad=25.0), engine, images))
    assert "simulation.sampling_A: 0.3 Å does not resolve the probe; the incoherent engine needs at most λ/(4α) = 0.197 Å" in found
    assert "acquisition.detector.outer_mrad: 300 mrad" in found
    patterns = Acquisition(mode="4dstem", tilts=TILTS)
    assert "incoherent makes images only" in "\n".join(check_physics(Microscope(), Simulation(engine="incoherent"), patterns))
    fine = Acquisition(tilts=TILTS, detector={"inner_mrad": 60, "outer_mrad": 195})
    assert check_physics(Microscope(semiangle_mrad=25.0), Simulation(engine="incoherent", sampling_A=0.15), fine) == []


def test_the_prediction_grows_with_slices_and_foci():
    costs = [
        simulate_cost(Microscope(defocus_A=foci), Simulation(engine="incoherent", slice_A=thick), Acquisition(tilts=TILTS))
        for foci, thick in (((0.0,), 2.0), ((0.0,), 1.0), ((0.0, 10.0), 2.0))
    ]
    assert costs[1].seconds > 1.5 * (costs[0].seconds - 1)
    assert costs[2].bytes > costs[0].bytes
