"""Cross-correlation of neighbouring tilts, from the least tilted view outwards.

Each image is compared with the neighbour that is already in place. With `stretch`, the more tilted one is first stretched across
the tilt axis by the ratio of the cosines of the angles, as a flat specimen foreshortens: image i of a film is the untilted one
with x → x cos θ_i. Errors add up from view to view, and a particle's projections differ by more than shifts: a start, no more.

M. Guizar-Sicairos, S. Thurman, J. Fienup, Opt. Lett. 33 (2008) 156, doi:10.1364/OL.33.000156 (sub-pixel correlation).
"""

from __future__ import annotations

import itertools

import numpy as np
import scipy.ndimage

from benchsuite.reconstructors.alignment.shifting import moved
from benchsuite.reconstructors.alignment.tilt_axis import tilt_angles_rad, tilt_axis

UPSAMPLING = 50  # a shift is found to this part of a pixel
MIN_COSINE = 0.05  # beyond 87° nothing is stretched


def cross_correlation(images: np.ndarray, pixel_A: float, rotations: np.ndarray, stretch: bool = False) -> np.ndarray:
    """Return the (n, 2) = (x, y) shifts in Å of images (n, ny, nx), that of the least tilted one being zero.

    rotations: (n, 3, 3) nominal. Raises ValueError where `stretch` is asked for and the series has no axis in the image plane.
    """
    axis = tilt_axis(rotations)
    if stretch and (axis is None or abs(axis[2]) > 1e-3):
        raise ValueError("cross_correlation: only a single-axis series whose axis lies in the plane of the images can be stretched")
    angles = np.arange(len(images), dtype=np.float64) if axis is None else tilt_angles_rad(rotations, axis)
    order = np.argsort(angles, kind="stable")
    middle = int(np.flatnonzero(order == np.argmax(np.trace(rotations, axis1=1, axis2=2)))[0])
    across = np.zeros(2) if axis is None else np.array([axis[1], -axis[0]])
    cosines = np.maximum(np.abs(np.cos(angles)), MIN_COSINE)
    shifts = np.zeros((len(images), 2))
    for path in (order[middle:], order[middle::-1]):
        for known, new in itertools.pairwise(path):
            reference = moved(images[known : known + 1], -shifts[known : known + 1], pixel_A)[0]
            factor = float(cosines[known] / cosines[new]) if stretch else 1.0
            shift = _shift(reference, stretched(images[new], across, factor)) * pixel_A
            shifts[new] = shift + (1 / factor - 1) * (shift @ across) * across
    return shifts


def stretched(image: np.ndarray, across: np.ndarray, factor: float) -> np.ndarray:
    """Return an image (ny, nx) stretched about its centre by a factor along the direction `across` (x, y)."""
    if factor == 1.0:
        return image
    shrink = np.eye(2) + (1 / factor - 1) * np.outer(across[::-1], across[::-1])
    centre = np.array(image.shape) // 2
    return np.asarray(scipy.ndimage.affine_transform(image, shrink, centre - shrink @ centre, order=3))


def _shift(reference: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return the (x, y) in pixels by which an image is shifted against another; both are zero outside."""
    from skimage.registration import phase_cross_correlation

    padded = [np.pad(one, [(0, n) for n in one.shape]) for one in (reference, image)]
    shift, _, _ = phase_cross_correlation(*padded, upsample_factor=UPSAMPLING, normalization=None)
    return -np.asarray(shift)[::-1]
