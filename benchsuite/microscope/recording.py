"""What an experiment adds to the images: wrong angles, drift, background, and the counting statistics of a finite dose.

In this order: drift shifts each image, background is added, and counts are drawn from a Poisson distribution of mean I·n with

    n = dose / (number of images) · step²

electrons per probe position; what is recorded is counts / n. The drawn truth is returned beside the data, for alignment scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchsuite.geometry import rotation
from benchsuite.microscope.tilts import rotations

if TYPE_CHECKING:
    from benchsuite.scenario.schema import Acquisition, Imperfections, Tilts


def true_rotations(tilts: Tilts, imperfections: Imperfections, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the (n, 3, 3) rotations that the specimen really has and the (n,) angle errors in degrees.

    The error is a further rotation about `tilts.axis`, fixed in the laboratory: for a single-axis series an error of the angle.
    """
    nominal = rotations(tilts)
    errors = imperfections.tilt_error_deg * rng.standard_normal(len(nominal))
    return np.stack([rotation(tilts.axis, error) @ matrix for error, matrix in zip(errors, nominal, strict=True)]), errors


def record(
    images: np.ndarray, acquisition: Acquisition, rng_drift: np.random.Generator, rng_dose: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the recorded data, float32 like `images` (n_tilt, n_focus, ny, nx), and the drift (n_tilt, n_focus, 2) = (x, y) in Å.

    A sub-pixel shift interpolates between probe positions and rings where the scan step undersamples the image; intensities that
    it makes negative are set to zero, since no rate is negative.
    """
    wrong, step = acquisition.imperfections, acquisition.scan.step_A
    drift = wrong.drift_A * rng_drift.standard_normal((*images.shape[:2], 2))
    data = images.astype(np.float64)
    if wrong.drift_A:
        data = np.maximum(shifted(data, drift / step), 0.0)
    data += wrong.background * images.max()
    electrons = electrons_per_position(acquisition, images.shape[0] * images.shape[1])
    if np.isfinite(electrons):
        data = rng_dose.poisson(data * electrons) / electrons
    return data.astype(np.float32), drift


def electrons_per_position(acquisition: Acquisition, images: int) -> float:
    """Return the incident electrons per probe position of a series of that many images: the dose is for the whole series."""
    return acquisition.dose_e_per_A2 / images * acquisition.scan.step_A**2


def shifted(images: np.ndarray, shift_px: np.ndarray) -> np.ndarray:
    """Return images (..., ny, nx) moved by shift_px (..., 2) = (x, y) pixels, by Fourier phase ramps (periodic)."""
    ny, nx = images.shape[-2:]
    ramp = np.fft.fftfreq(ny)[:, None] * shift_px[..., 1, None, None] + np.fft.fftfreq(nx) * shift_px[..., 0, None, None]
    return np.fft.ifft2(np.fft.fft2(images) * np.exp(-2j * np.pi * ramp)).real
