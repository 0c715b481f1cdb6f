"""The spectral amplitude against a full Fourier transform, and the last peak against cut-offs that were put in."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms
from scipy.ndimage import gaussian_filter

from benchsuite.data import Grid
from benchsuite.metrics.resolution import render
from benchsuite.metrics.spectrum import bragg_peaks, curves_of, hann, last_spectral_peak, resolutions, spectral_amplitude
from benchsuite.physics.rotations import rotation

PERIOD_A, VOXEL_A, COUNT = 3.2, 0.4, 96


def crystal(turned=None):
    """A simple cubic crystal of Gaussians, reflections at multiples of 1/3.2 Å along x, y and z. It fills the box, or is turned."""
    reach = 7 if turned is None else 5  # a face inside the box would leave its tails between the reflections
    sites = PERIOD_A * (np.array(list(itertools.product(range(-reach, reach + 1), repeat=3)), float) + 0.2)
    sites = sites if turned is None else sites @ turned.T
    return render(Atoms(["H"] * len(sites), sites), Grid((COUNT,) * 3, VOXEL_A), 0.3)


def low_passed(data, axis, cutoff_per_A):
    spectrum = np.fft.fft(data, axis=axis)
    keep = np.abs(np.fft.fftfreq(data.shape[axis], VOXEL_A)) <= cutoff_per_A
    return np.fft.ifft(np.moveaxis(np.moveaxis(spectrum, axis, -1) * keep, -1, axis), axis=axis).real.astype(np.float32)


def noisy(data, amount, seed=0):
    return data + amount * data.std() * np.random.default_rng(seed).standard_normal(data.shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(8, 9, 10), (7, 8, 9), (6, 6, 7)])
def test_projections_are_those_of_the_full_transform(shape):
    volume = np.random.default_rng(0).standard_normal(shape)
    window = np.einsum("i,j,k->ijk", *(hann(n) for n in shape))
    full = np.abs(np.fft.fftn((volume - (volume * window).sum() / window.sum()) * window))
    spectrum = spectral_amplitude(volume, 0.4)
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        np.testing.assert_allclose(spectrum.on_plane(axis), np.fft.fftshift(full).mean(axis=axis), atol=1e-5)
        frequency, mean = spectrum.along(axis)
        np.testing.assert_allclose(frequency, np.arange(shape[axis] // 2 + 1) / (shape[axis] * 0.4))
        np.testing.assert_allclose(mean, full.mean(axis=others)[: len(frequency)], atol=1e-5)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
@pytest.mark.parametrize(("cutoff", "order"), [(0.75, 2), (0.5, 1)])
def test_the_last_peak_is_the_last_reflection_below_the_cut_off(axis, cutoff, order):
    peaks = bragg_peaks(spectral_amplitude(noisy(low_passed(crystal(), "zyx".index(axis), cutoff), 0.5), VOXEL_A))
    last = {name: last_spectral_peak(peaks, name) for name in "xyz"}
    assert last.pop(axis) == pytest.approx(order / PERIOD_A, abs=0.003)
    assert all(k == pytest.approx(3 / PERIOD_A, abs=0.003) for k in last.values())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_turned_crystal_ends_within_a_tenth_of_its_cut_off(axis):
    turned = rotation((1, 2, 3), 25.0)
    found = resolutions(bragg_peaks(spectral_amplitude(noisy(low_passed(crystal(turned), axis, 0.7), 0.2), VOXEL_A)))
    assert 1 / 0.7 - 0.02 < found.pop("zyx"[axis]) < 1.1 / 0.7
    assert max(found.values()) < 1 / 0.8


@pytest.mark.parametrize("blur", [0.0, 0.7, 1.5])
def test_noise_has_no_peak(blur):
    for seed in range(10):
        noise = np.random.default_rng(seed).standard_normal((64,) * 3).astype(np.float32)
        peaks = bragg_peaks(spectral_amplitude(gaussian_filter(noise, blur, mode="wrap"), VOXEL_A))
        assert len(peaks.k_per_A) == 0
    assert all(np.isnan(value) for value in resolutions(peaks).values())


def test_nothing_in_an_empty_volume():
    assert np.isnan(resolutions(bragg_peaks(spectral_amplitude(np.zeros((16,) * 3, np.float32), VOXEL_A)))["x"])


def test_more_noise_and_a_missing_wedge_cost_resolution(spinel):
    _, volume = spinel
    clear = resolutions(bragg_peaks(spectral_amplitude(volume.data, 0.4)))
    poor = resolutions(bragg_peaks(spectral_amplitude(noisy(volume.data, 3.0), 0.4)))
    assert clear["z"] > 1.1 * clear["x"]
    assert all(poor[axis] > 1.1 * clear[axis] for axis in "xyz")


def test_curves_are_small_and_keep_their_scale():
    curves = curves_of(spectral_amplitude(crystal(), VOXEL_A))
    assert sum(array.nbytes for array in curves.values()) < 2**20
    assert curves["spectrum_xz"].shape == (COUNT, COUNT)
    assert curves["spectrum_xz_reach_per_A"] == pytest.approx([1.25, 1.25])
    fine = curves_of(spectral_amplitude(np.random.default_rng(0).standard_normal((8, 20, 700)).astype(np.float32), 0.2))
    assert fine["spectrum_xy"].shape[1] <= 256
    assert fine["spectrum_xy_reach_per_A"][0] == pytest.approx(2.0, abs=0.02)
    assert max(fine["spectrum_x_per_A"]) <= 2.0
