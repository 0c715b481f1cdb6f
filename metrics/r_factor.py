"""How well an answer explains what was measured: no truth is needed.

    R = Σ|I − s I_calc| / Σ|I|

Of images, I_calc are the projections of the volume, with one least-squares scale s for the whole series. Of patterns, and of atoms
without a volume, the algorithm knows its own forward model, and states R (`Fit`).
"""

from __future__ import annotations

import numpy as np

from benchsuite.columns import Column, Margin
from benchsuite.contract.metric import Metric, Scored, Scores
from benchsuite.data import TiltSeries, Volume
from benchsuite.params import Params
from benchsuite.physics.projection.projector import Projector


class RFactor(Metric[Params]):
    title = "Difference of measured and calculated images or patterns"
    reference = "Lee et al. (2023)"
    default = True
    order = 60
    columns = (
        Column(
            "r_factor", "R-factor", "", "lower", Margin(0.02, 0.002),
            description="Σ|I − I_calc| / Σ|I|, one scale for the series; against the preprocessed series", ranking=5,
        ),
    )  # fmt: skip

    def measure(self, scored: Scored) -> Scores:
        if scored.volume is not None and scored.series.modality != "4dstem":
            overall, per_image = projection_r_factor(scored.volume, scored.series)
        elif (stated := scored.reconstruction.fit.r_factor_per_image) is not None:
            overall, per_image = float(stated.mean()), stated
        else:
            return Scores({})
        return Scores({"r_factor": overall}, {"r_factor_per_image": per_image})


def projection_r_factor(volume: Volume, series: TiltSeries) -> tuple[float, np.ndarray]:
    """Return the R-factor of the volume's projections, overall and per image, with one scale for the whole series."""
    measured = series.data.mean(axis=1)
    projector = Projector(series.rotations, volume.grid, measured.shape[1:], series.scan_step_A)
    return r_factor(measured, projector.forward(volume.data))


def r_factor(measured: np.ndarray, calculated: np.ndarray) -> tuple[float, np.ndarray]:
    """Return (overall, per image) Σ|I − s I_calc| / Σ|I| for images (n, ny, nx), with the one least-squares scale s.

    Images that are empty give nan.
    """
    measured, calculated = measured.astype(np.float64), calculated.astype(np.float64)
    power = float((calculated**2).sum())
    scale = float((measured * calculated).sum()) / power if power > 0 else 0.0
    difference = np.abs(measured - scale * calculated).sum(axis=(1, 2))
    total = np.abs(measured).sum(axis=(1, 2))
    per_image = np.divide(difference, total, out=np.full(len(total), np.nan), where=total > 0)
    return (float(difference.sum() / total.sum()) if total.sum() > 0 else float("nan")), per_image
