"""Common line: projected onto the tilt axis, all images of a single-axis series are the same profile.

It is the projection of the specimen onto the axis, so that shifts along the axis are those of the profiles against their mean.
M. C. Scott et al., Nature 483 (2012) 444, doi:10.1038/nature10934 (the common line of equally sloped tomography).
"""

from __future__ import annotations

import numpy as np

from benchsuite.reconstructors.alignment.tilt_axis import tilt_axis

ITERATIONS = 5  # passes over all profiles; each divides the remaining error by the number of images
OVERSAMPLING = 8  # samples per pixel of a correlation, before a parabola through the largest three


def common_line(images: np.ndarray, pixel_A: float, rotations: np.ndarray) -> np.ndarray:
    """Return the (n, 2) = (x, y) shifts in Å along the tilt axis of images (n, ny, nx); across it they are zero.

    rotations: (n, 3, 3) nominal. Raises ValueError where they have no common axis in the plane of the images.
    """
    axis = tilt_axis(rotations)
    if axis is None or abs(axis[2]) > 1e-3:
        raise ValueError("common_line needs a single-axis series whose axis lies in the plane of the images")
    direction = axis[:2] / np.linalg.norm(axis[:2])
    profiles = line_profiles(images, direction)
    shifts = np.zeros(len(images))
    q = np.fft.rfftfreq(2 * profiles.shape[1])
    spectra = np.fft.rfft(profiles, 2 * profiles.shape[1])
    for _ in range(ITERATIONS):
        moved = spectra * np.exp(2j * np.pi * q * shifts[:, None])
        shifts += profile_shifts(moved, moved.mean(axis=0))
    return (shifts - shifts.mean())[:, None] * pixel_A * direction


def line_profiles(images: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return the (n, bins) sums of images over lines across a direction (x, y); a bin is as wide as a pixel."""
    n, ny, nx = images.shape
    y, x = np.arange(ny)[:, None] - ny // 2, np.arange(nx) - nx // 2
    place = (x * direction[0] + y * direction[1]).ravel()
    reach = int(np.ceil(np.abs(place).max())) + 1
    lower = np.floor(place).astype(np.int64)
    part = place - lower
    profiles = np.empty((n, 2 * reach + 1))
    for profile, image in zip(profiles, images.reshape(n, -1).astype(np.float64), strict=True):
        profile[:] = np.bincount(lower + reach, image * (1 - part), 2 * reach + 1)
        profile += np.bincount(lower + reach + 1, image * part, 2 * reach + 1)[: 2 * reach + 1]
    return profiles


def profile_shifts(spectra: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the (n,) shifts in bins of profiles against a reference, all given by their real transforms: (n, m) and (m,)."""
    count = 2 * (spectra.shape[1] - 1) * OVERSAMPLING
    correlation = np.fft.irfft(spectra * reference.conj(), count)
    peak = correlation.argmax(axis=1)
    before, here, after = (np.take_along_axis(correlation, ((peak + d) % count)[:, None], axis=1)[:, 0] for d in (-1, 0, 1))
    curvature = before - 2 * here + after
    offset = np.where(curvature < 0, 0.5 * (before - after) / np.where(curvature < 0, curvature, 1), 0.0)
    whole = np.where(peak > count // 2, peak - count, peak)
    return (whole + offset) / OVERSAMPLING
