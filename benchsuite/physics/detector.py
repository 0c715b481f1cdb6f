"""Angles of a pixelated detector, and the images that an annular one would have recorded of the same patterns."""

from __future__ import annotations

import numpy as np

from benchsuite.data import TiltSeries
from benchsuite.physics.electrons import wavelength_A


def angle_step_mrad(series: TiltSeries) -> float:
    """Return the angle between neighbouring pixels of a pattern. Raises ValueError for a series without a reciprocal step."""
    if series.reciprocal_step_per_A is None:
        raise ValueError(f"{series.modality} data without reciprocal_step_per_A have no angles")
    return 1e3 * wavelength_A(series.optics.energy_keV) * series.reciprocal_step_per_A


def virtual_images(series: TiltSeries, inner_mrad: float, outer_mrad: float) -> np.ndarray:
    """Return what an annular detector makes of the patterns: (n_tilt, n_focus, scan_y, scan_x), fractions of the electrons.

    From 0 it is a bright-field image. Raises ValueError where the camera does not reach to the outer angle.
    """
    rows, columns = series.data.shape[4:]
    step = angle_step_mrad(series)
    reach = step * min((rows - 1) // 2, (columns - 1) // 2)
    if outer_mrad > reach:
        raise ValueError(f"the camera reaches to {reach:.1f} mrad, not to {outer_mrad:g} mrad")
    y, x = (step * (np.arange(n) - n // 2) for n in (rows, columns))
    radius = np.hypot(y[:, None], x)
    ring = (radius >= inner_mrad) & (radius < outer_mrad)
    return np.stack([np.asarray(series.data[tilt])[..., ring].sum(axis=-1) for tilt in range(len(series.data))])
