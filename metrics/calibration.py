"""Whether stated uncertainties are right: how many coordinates lie within the standard deviations that a method states.

Errors that are normally distributed with those deviations lie within one in 68.3% and within two in 95.4% of all coordinates; fewer
mean that the method is surer than it should be. The common motion that scores remove takes the errors of few atoms with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from benchsuite.columns import Column
from benchsuite.contract.metric import Metric, Scored
from benchsuite.params import Params

STATED_DEVIATIONS = "uncertainty_pm"  # array (n, 3): standard deviations along x, y, z, inf or nan where unknown


class Calibration(Metric[Params]):
    """within_1_sigma_pct, within_2_sigma_pct: matched coordinates within that many stated standard deviations.

    stated_rmsd_pm: what the RMSD of the same atoms would be, were the stated deviations right. nan where the answer states none.
    """

    title = "Calibration of stated uncertainties"
    reference = "fractions of a normal distribution; smaller ones mean that the stated deviations are too small"
    columns = (
        Column(
            "within_1_sigma_pct", "Within one stated deviation", "%",
            description="Matched coordinates within one stated standard deviation; 68.3% expected",
        ),
        Column(
            "within_2_sigma_pct", "Within two stated deviations", "%",
            description="Matched coordinates within two stated standard deviations; 95.4% expected",
        ),
        Column("stated_rmsd_pm", "RMSD as stated", "pm", description="RMSD that the stated standard deviations predict"),
    )  # fmt: skip

    def measure(self, scored: Scored) -> Mapping[str, float]:
        error, stated = errors_pm(scored)
        if len(error) == 0:
            return dict.fromkeys(("within_1_sigma_pct", "within_2_sigma_pct", "stated_rmsd_pm"), math.nan)
        within = {f"within_{k}_sigma_pct": 100 * float((np.abs(error) <= k * stated).mean()) for k in (1, 2)}
        return {**within, "stated_rmsd_pm": math.sqrt((stated**2).sum(axis=1).mean())}


def errors_pm(scored: Scored) -> tuple[np.ndarray, np.ndarray]:
    """Return found − true and the stated standard deviations (n, 3) of matched atoms, along the axes of the answer."""
    truth, traced = scored.truth, scored.traced
    if truth is None or traced is None or STATED_DEVIATIONS not in traced.arrays:
        return np.empty((0, 3)), np.empty((0, 3))
    true, found = scored.pairs.T
    error = 100 * (traced.positions[found] - truth.positions[true]) @ scored.rotation
    stated = np.asarray(traced.arrays[STATED_DEVIATIONS], dtype=np.float64).reshape(-1, 3)[found]
    known = (np.isfinite(stated) & (stated >= 0)).all(axis=1)
    return error[known], stated[known]
