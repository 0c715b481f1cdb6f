"""Where a method finds its probes sharpest, against where the microscope focused them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchsuite.columns import Column, Margin
from benchsuite.contract.metric import Metric, Scored
from benchsuite.params import Params


class FocusError(Metric[Params]):
    title = "Error of the foci of fitted probes"
    reference = "multiple-section local-orbital tomography (nLOT, 2024)"
    default = True
    order = 70
    columns = (
        Column(
            "focus_error_A", "Focus error", "Å", "lower", Margin(0.05, 1.0),
            description="Largest distance between the plane where a fitted probe is sharpest and its true focus",
        ),
    )  # fmt: skip

    def measure(self, scored: Scored) -> Mapping[str, float]:
        focus_A = scored.reconstruction.fit.focus_A
        return {} if focus_A is None else {"focus_error_A": float(np.abs(focus_A - scored.series.defocus_A).max())}
