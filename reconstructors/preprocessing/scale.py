"""Projections scaled to one another: what a specimen adds up to does not depend on the tilt.

    b_θ ← b_θ · Σ b_0 / Σ b_θ,

b_0 the projection in the middle of the series. For phases, whose gain drifts from fit to fit, and for changing beam currents.

A. Romanov, M. Cho, M. Scott, P. Pelz, J. Phys. Mater. 8 (2025) 015005, sec. 2.2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from benchsuite.contract.algorithm import Context
from benchsuite.contract.preprocessing import Preprocessing
from benchsuite.data import Preprocessed, TiltSeries
from benchsuite.params import Params
from benchsuite.reconstructors.checks import reason_without_sum


class ScaleParams(Params):
    pass


class Scale(Preprocessing[ScaleParams]):
    """Extras: `scale` (n_tilt,), the factors."""

    Params: ClassVar[type[Params]] = ScaleParams
    title = "Scaling: all projections to the sum of the middle one"
    reference = "Romanov et al., J. Phys. Mater. 8 (2025) 015005"

    def accepts(self, series: TiltSeries) -> str | None:
        return super().accepts(series) or reason_without_sum("scale", series)

    def preprocess(self, series: TiltSeries, context: Context) -> Preprocessed:
        sums = series.data.sum(axis=(1, 2, 3), dtype=np.float64)
        factors = sums[len(sums) // 2] / sums
        data = series.data * factors.astype(np.float32)[:, None, None, None]
        return Preprocessed(replace(series, data=data), extras={"scale": factors})
