"""What an experiment adds to the images: wrong angles, drift, background, and the counting statistics of a finite dose.

In this order: drift shifts each image (of patterns, the scan: when it is simulated), background is added, and counts are drawn
from a Poisson distribution of mean I·n with

    n = dose / (number of images) · step²

electrons per probe position; what is recorded is counts / n. Equal seeds give equal series.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from benchsuite import seeds
from benchsuite.contract.settings import Acquisition, Microscope
from benchsuite.data import Modality, electrons_per_position
from benchsuite.microscope.tilts import rotations
from benchsuite.physics.rotations import rotation


def true_rotations(acquisition: Acquisition, seed: int, repeat: int = 0) -> np.ndarray:
    """Return the (n, 3, 3) rotations that the specimen really has: the nominal ones with the drawn tilt errors.

    An error is a further rotation about the tilt axis, fixed in the laboratory: for a single-axis series an error of the angle.
    """
    axis, nominal = acquisition.tilts.axis, rotations(acquisition.tilts)
    errors_deg = (
        seeds.generator(seed, "tilt_error", repeat).standard_normal(len(nominal)) * acquisition.imperfections.tilt_error_deg
    )
    return np.stack([rotation(axis, error) @ matrix for error, matrix in zip(errors_deg, nominal, strict=True)])


def true_drift_A(microscope: Microscope, acquisition: Acquisition, seed: int, repeat: int = 0) -> np.ndarray:
    """Return the (n_tilt, n_focus, 2) drawn shifts (x, y) in Å of the specimen in every scan."""
    shape = len(rotations(acquisition.tilts)), len(microscope.defoci_A), 2
    return acquisition.imperfections.drift_A * seeds.generator(seed, "drift", repeat).standard_normal(shape)


def dose_generator(modality: Modality, seed: int, repeat: int = 0) -> np.random.Generator:
    """Return the generator of the counts: patterns and the virtual image fall on different parts of the detector."""
    return seeds.generator(seed, "dose" if modality == "adf" else "dose of patterns", repeat)


def record(
    tilts: Iterable[np.ndarray],
    count: int,
    acquisition: Acquisition,
    drift_A: np.ndarray,
    rng: np.random.Generator,
    brightest: float,
) -> Iterator[np.ndarray]:
    """Yield what is recorded of each of `count` tilts, float32 like the noise-free (n_focus, ny, nx[, q_y, q_x]) that come in.

    drift_A (n_tilt, n_focus, 2) = (x, y) moves images; `brightest` is the largest value of the series, which the background is a
    fraction of. A sub-pixel shift interpolates between probe positions and rings where the scan step undersamples the image;
    intensities that it makes negative are set to zero, since no rate is negative.
    """
    step = acquisition.scan.step_A
    for noise_free, drift in zip(tilts, drift_A, strict=True):
        data = noise_free.astype(np.float64)
        if drift.any():
            data = np.maximum(shifted(data, drift / step), 0.0)
        data += acquisition.imperfections.background * brightest
        electrons = electrons_per_position(acquisition.dose_e_per_A2, count * len(noise_free), acquisition.scan.step_A)
        if np.isfinite(electrons):
            data = rng.poisson(data * electrons) / electrons
        yield data.astype(np.float32)


def shifted(images: np.ndarray, shift_px: np.ndarray) -> np.ndarray:
    """Return images (..., ny, nx) moved by shift_px (..., 2) = (x, y) pixels, by Fourier phase ramps (periodic)."""
    ny, nx = images.shape[-2:]
    ramp = np.fft.fftfreq(ny)[:, None] * shift_px[..., 1, None, None] + np.fft.fftfreq(nx) * shift_px[..., 0, None, None]
    return np.fft.ifft2(np.fft.fft2(images) * np.exp(-2j * np.pi * ramp)).real
