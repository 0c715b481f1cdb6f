"""How a truth whose file has a frame of its own was placed among the traced atoms (`truth.frame: register`)."""

from __future__ import annotations

from collections.abc import Mapping

from benchsuite.columns import Column
from benchsuite.contract.metric import Metric, Scored
from benchsuite.params import Params


class PlacementOfTruth(Metric[Params]):
    title = "Placement of a ground truth of unknown frame"
    reference = "Besl & McKay (1992), doi:10.1109/34.121791"
    default = True
    order = 90
    columns = (
        Column("registration_fit", "Fit of the ground truth", role="fact", description="Fit to the traced atoms, from 0 to 1"),
        Column(
            "registration_mirrored_fit", "Fit of the mirrored ground truth", role="fact",
            description="Fit of the mirror image of the ground truth to the traced atoms, from 0 to 1",
        ),
        Column("registration_<axis><axis>", "Rotation of the ground truth, <axis> from <axis>", role="fact"),
        Column("registration_shift_<axis>_A", "Shift of the ground truth along <axis>", "Å", role="fact"),
    )  # fmt: skip

    def measure(self, scored: Scored) -> Mapping[str, float]:
        found = scored.placement
        if found is None:
            return {}
        values = {"registration_fit": found.fit, "registration_mirrored_fit": found.mirrored_fit}
        if (rotation := found.rotation) is not None:
            values |= {f"registration_{r}{c}": float(rotation[i, j]) for i, r in enumerate("xyz") for j, c in enumerate("xyz")}
        if (shift_A := found.shift_A) is not None:
            values |= {f"registration_shift_{axis}_A": float(shift_A[k]) for k, axis in enumerate("xyz")}
        return values
