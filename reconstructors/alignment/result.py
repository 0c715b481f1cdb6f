"""What an alignment finds, and a series that is moved accordingly."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchsuite.data import TiltSeries
from benchsuite.reconstructors.alignment.shifting import moved
from benchsuite.reconstructors.checks import PROJECTIONS


@dataclass(frozen=True)
class Alignment:
    """Shifts and rotations of the images of a series.

    shifts_A: (n, 2) = (x, y), which the images have: they are moved by minus that.
    rotations: (n, 3, 3), r_lab = R r_specimen.
    losses: relative squared residual ‖b − A V‖²/‖b‖² of every round of the refinement, of one level after another.
    refused: why the refinement is not used (shifts and rotations are then those before it), or None.
    """

    shifts_A: np.ndarray
    rotations: np.ndarray
    losses: np.ndarray
    refused: str | None = None


def aligned(series: TiltSeries, alignment: Alignment) -> TiltSeries:
    """Return the series with its images moved by minus the shifts, all focus values of a tilt alike, and the rotations replaced.

    Raises ValueError for series that are not images, or of another number of tilts.
    """
    if series.modality not in PROJECTIONS:
        raise ValueError(f"images are aligned, not {series.modality} data")
    tilts, foci, ny, nx = series.data.shape
    if len(alignment.shifts_A) != tilts:
        raise ValueError(f"an alignment of {len(alignment.shifts_A)} images for a series of {tilts} tilts")
    images = np.asarray(series.data).reshape(tilts * foci, ny, nx)
    data = moved(images, -np.repeat(alignment.shifts_A, foci, axis=0), series.scan_step_A)
    return replace(series, data=data.reshape(series.data.shape), rotations=alignment.rotations.copy())
