"""The axis of a single-axis series, from its rotations."""

from __future__ import annotations

import numpy as np

TOLERANCE = 1e-3  # of the sine between axes of different tilts


def tilt_axis(rotations: np.ndarray) -> np.ndarray | None:
    """Return the (3,) laboratory axis about which the specimen turns between the images, or None where there is not one.

    R_i R_0ᵀ turns about it for every i; its sign is such that the component of largest modulus is positive.
    """
    relative = rotations @ rotations[0].T
    skew = np.stack(
        [relative[:, 2, 1] - relative[:, 1, 2], relative[:, 0, 2] - relative[:, 2, 0], relative[:, 1, 0] - relative[:, 0, 1]], 1
    )
    length = np.linalg.norm(skew, axis=1)
    if length.max() < TOLERANCE:
        return None
    axis = skew[length.argmax()] / length.max()
    off = np.linalg.norm(relative @ axis - axis, axis=1)
    if off.max() > TOLERANCE:
        return None
    return np.asarray(axis * np.sign(axis[np.abs(axis).argmax()]))


def tilt_angles_rad(rotations: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Return the (n,) angles about the axis from the view nearest to the untilted one."""
    flat = int(np.argmax(np.trace(rotations, axis1=1, axis2=2)))
    relative = rotations @ rotations[flat].T
    skew = np.stack(
        [relative[:, 2, 1] - relative[:, 1, 2], relative[:, 0, 2] - relative[:, 2, 0], relative[:, 1, 0] - relative[:, 0, 1]], 1
    )
    return np.arctan2(skew @ axis, np.trace(relative, axis1=1, axis2=2) - 1)
