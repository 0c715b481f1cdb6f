"""What an experiment adds to the images: wrong angles, drift, background, and the counting statistics of a finite dose.

Counts per probe position are Poisson with mean I · n, n = dose / (number of images) · step²; the recorded value is counts / n.
"""

from __future__ import annotations

import numpy as np

from benchsuite.geometry import rotation
from benchsuite.microscope.tilts import rotations
from benchsuite.scenario.schema import Acquisition, Imperfections, Tilts


def true_rotations(tilts: Tilts, imperfections: Imperfections, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the (n, 3, 3) rotations the specimen really has and the (n,) angle errors in degrees, about the tilt axis."""
    nominal = rotations(tilts)
    errors = imperfections.tilt_error_deg * rng.standard_normal(len(nominal))
    return np.stack([rotation(tilts.axis, error) @ matrix for error, matrix in zip(errors, nominal, strict=True)]), errors


def record(
    images: np.ndarray, acquisition: Acquisition, rng_drift: np.random.Generator, rng_dose: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the recorded data, float32 like `images` (n_tilt, n_focus, ny, nx), and the drift (n_tilt, n_focus, 2) = (x, y) in Å."""
    wrong, step = acquisition.imperfections, acquisition.scan.step_A
    drift = wrong.drift_A * rng_drift.standard_normal((*images.shape[:2], 2))
    data = shifted(images.astype(np.float64), drift / step) if wrong.drift_A else images.astype(np.float64)
    data = data + wrong.background * images.max()
    electrons = acquisition.dose_e_per_A2 / (images.shape[0] * images.shape[1]) * step**2
    if np.isfinite(electrons):
        # a shift by Fourier interpolation may undershoot zero by rounding; a rate cannot be negative
        data = rng_dose.poisson(np.maximum(data, 0.0) * electrons) / electrons
    return data.astype(np.float32), drift


def shifted(images: np.ndarray, shift_px: np.ndarray) -> np.ndarray:
    """Return images (..., ny, nx) moved by shift_px (..., 2) = (x, y) pixels, by Fourier phase ramps (periodic)."""
    ny, nx = images.shape[-2:]
    ramp = np.fft.fftfreq(ny)[:, None] * shift_px[..., 1, None, None] + np.fft.fftfreq(nx) * shift_px[..., 0, None, None]
    return np.fft.ifft2(np.fft.fft2(images) * np.exp(-2j * np.pi * ramp)).real
