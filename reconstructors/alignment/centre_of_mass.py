"""Centre of mass: that of a projection is the projection of the specimen's, which every rotation about it leaves in place.

Holds where the whole specimen, and nothing else, is in every image, and images are projections.
"""

from __future__ import annotations

import numpy as np


def centre_of_mass(images: np.ndarray, pixel_A: float) -> np.ndarray:
    """Return the (n, 2) = (x, y) in Å of the centres of mass of images (n, ny, nx), from the central pixel N//2.

    Raises ValueError for an image without mass.
    """
    ny, nx = images.shape[1:]
    mass = images.sum(axis=(1, 2), dtype=np.float64)
    if not (mass > 0).all():
        raise ValueError(f"centre_of_mass: image {int(np.argmin(mass))} sums to {mass.min():.3g}, which must be positive")
    x, y = (pixel_A * (np.arange(m) - m // 2) for m in (nx, ny))
    along_x = (images.sum(axis=1, dtype=np.float64) * x).sum(axis=1)
    along_y = (images.sum(axis=2, dtype=np.float64) * y).sum(axis=1)
    return np.stack([along_x, along_y], axis=1) / mass[:, None]
