"""Dose statistics, drift, background and tilt errors."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.contract.settings import Acquisition, Imperfections, Microscope, Scan, Tilts
from benchsuite.data import electrons_per_position
from benchsuite.microscope import record, rotations, true_drift_A, true_rotations
from benchsuite.microscope.recording import shifted
from benchsuite.physics.rotations import rotation

TILTS = Tilts(range_deg=(-60.0, 60.0), count=5)


def acquisition(dose: float = float("inf"), step: float = 0.4, **imperfections: float) -> Acquisition:
    return Acquisition(tilts=TILTS, scan=Scan(step_A=step), dose_e_per_A2=dose, imperfections=Imperfections(**imperfections))


def recorded(images: np.ndarray, settings: Acquisition, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    drift = true_drift_A(Microscope(defocus_A=(0.0,) * images.shape[1]), settings, seed)
    tilts = record(images, len(images), settings, drift, np.random.default_rng(seed + 1), float(images.max()))
    return np.stack(list(tilts)), drift


def blob(x: float, y: float, size: int = 48, sigma: float = 3.0) -> np.ndarray:
    index = np.arange(size) - size // 2
    return np.exp(-((index - x) ** 2 + (index[:, None] - y) ** 2) / (2 * sigma**2))


def test_noise_free_data_come_back_as_they_are() -> None:
    images = np.random.default_rng(0).random((5, 2, 8, 9), dtype=np.float32)
    data, drift = recorded(images, acquisition())
    assert data.dtype == np.float32
    np.testing.assert_array_equal(data, images)
    np.testing.assert_array_equal(drift, np.zeros((5, 2, 2)))


def test_the_dose_is_for_the_whole_series() -> None:
    settings = acquisition(dose=2.0e5, step=0.5)
    per_position = electrons_per_position(settings.dose_e_per_A2, 10, settings.scan.step_A)
    assert per_position == pytest.approx(2.0e5 / 10 * 0.25)
    data, _ = recorded(np.ones((5, 2, 40, 40), dtype=np.float32), settings)
    electrons = data.astype(np.float64).sum() * per_position
    area = 40 * 40 * 0.25
    assert electrons / area == pytest.approx(2.0e5, rel=5 / np.sqrt(2.0e5 * area))


@pytest.mark.parametrize("fraction", [2e-4, 0.03])
def test_counts_have_the_mean_and_the_variance_of_poisson(fraction: float) -> None:
    settings = acquisition(dose=1e5)
    images = np.full((5, 1, 200, 200), fraction, dtype=np.float32)
    data, _ = recorded(images, settings)
    electrons = electrons_per_position(settings.dose_e_per_A2, 5, settings.scan.step_A)
    counts, mean, n = data.astype(np.float64) * electrons, fraction * electrons, data.size
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-3 * max(1, mean))
    assert counts.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / n))
    spread_of_variance = np.sqrt((mean + 2 * mean**2) / n)
    assert counts.var() == pytest.approx(mean, abs=5 * spread_of_variance)
    images_differ = np.corrcoef(counts[0].ravel(), counts[1].ravel())[0, 1]
    assert abs(images_differ) < 5 / np.sqrt(200 * 200)


def test_equal_seeds_give_equal_noise() -> None:
    images = np.full((5, 1, 16, 16), 0.1, dtype=np.float32)
    settings = acquisition(dose=1e4, drift_A=0.3)
    np.testing.assert_array_equal(recorded(images, settings, 3)[0], recorded(images, settings, 3)[0])
    assert (recorded(images, settings, 3)[0] != recorded(images, settings, 4)[0]).any()


def test_a_shift_moves_an_image_along_the_axes_it_names() -> None:
    moved = shifted(blob(0, 0), np.array([1.3, -2.6]))
    np.testing.assert_allclose(moved, blob(1.3, -2.6), atol=1e-6)


def test_drift_has_the_given_rms() -> None:
    images = np.tile(blob(0, 0), (5, 3, 1, 1)).astype(np.float32)
    data, drift = recorded(images, acquisition(drift_A=0.8))
    for measured, truth in zip(data.reshape(-1, 48, 48), drift.reshape(-1, 2), strict=True):
        np.testing.assert_allclose(measured, blob(*(truth / 0.4)), atol=1e-5)
    many = np.stack([true_drift_A(Microscope(defocus_A=(0.0,) * 400), acquisition(drift_A=0.8), seed) for seed in range(2)])
    np.testing.assert_allclose(many.std(axis=(0, 1, 2)), 0.8, rtol=0.06)


def test_undershoot_of_the_interpolation_is_never_a_negative_rate() -> None:
    images = np.zeros((5, 1, 32, 32), dtype=np.float32)
    images[..., 16, 16] = 1
    assert shifted(images, np.array([0.5, 0.5])).min() < -0.05
    assert recorded(images, acquisition(drift_A=0.3))[0].min() == 0
    assert recorded(images, acquisition(drift_A=0.3, dose=1e4))[0].min() == 0


def test_background_is_a_fraction_of_the_maximum_and_has_noise_of_its_own() -> None:
    images = np.zeros((5, 1, 100, 100), dtype=np.float32)
    images[2, 0, 3, 4] = 0.2
    plain, _ = recorded(images, acquisition(background=0.1))
    assert plain.min() == pytest.approx(0.02)
    assert plain.max() == pytest.approx(0.22)
    noisy, _ = recorded(images, acquisition(background=0.1, dose=1e5))
    expected = np.sqrt(0.02 / electrons_per_position(1e5, 5, acquisition().scan.step_A))
    assert noisy[0].std() == pytest.approx(expected, rel=0.05)


def test_tilt_errors_turn_about_the_tilt_axis() -> None:
    tilts = Tilts(range_deg=(-60.0, 60.0), count=400, axis="x")
    found = true_rotations(Acquisition(tilts=tilts, imperfections=Imperfections(tilt_error_deg=0.7)), seed=0)
    angles = np.rad2deg(np.arctan2(found[:, 2, 1], found[:, 1, 1]))
    np.testing.assert_allclose(found, [rotation("x", angle) for angle in angles], atol=1e-12)
    errors = angles - np.linspace(-60.0, 60.0, 400)
    assert errors.std() == pytest.approx(0.7, rel=0.12)
    assert abs(errors.mean()) < 0.2


@pytest.mark.parametrize("tilts", [TILTS, Tilts(euler_deg=((10.0, 20.0, 30.0), (1.0, 2.0, 3.0)))])
def test_rotations_are_nominal_without_tilt_errors(tilts: Tilts) -> None:
    np.testing.assert_allclose(true_rotations(Acquisition(tilts=tilts), seed=0), rotations(tilts), atol=1e-15)
