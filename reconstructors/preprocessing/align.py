"""Alignment of a series: images shifted and rotations corrected, by `reconstructors.alignment`."""

from __future__ import annotations

import math
from typing import ClassVar

from benchsuite.contract.algorithm import Context
from benchsuite.contract.plug import Cost
from benchsuite.contract.preprocessing import Preprocessing
from benchsuite.data import Grid, Preprocessed, TiltSeries
from benchsuite.params import Params
from benchsuite.reconstructors.alignment.align import AlignParams, align
from benchsuite.reconstructors.alignment.result import aligned
from benchsuite.reconstructors.alignment.tilt_axis import tilt_axis
from benchsuite.reconstructors.checks import reason_to_skip
from benchsuite.reconstructors.costs import ALIGNED_DESCENT_S

MIN_TILTS = 3  # fewest images that a volume ties together


class Align(Preprocessing[AlignParams]):
    """Extras: `alignment_loss`, the relative residual of every round.

    Where an alignment is refused, the series is what the coarse steps made of it, and the remark says why.
    """

    Params: ClassVar[type[Params]] = AlignParams
    title = "Alignment: shifts and angles refined together with a volume, coarse to fine"
    reference = "Romanov et al., J. Phys. Mater. 8 (2025) 015005; Pelz et al., Nat. Commun. 14 (2023) 7906"

    def accepts(self, series: TiltSeries) -> str | None:
        if len(series.data) < MIN_TILTS:
            return f"align needs at least {MIN_TILTS} tilts, the series has {len(series.data)}"
        refusal = super().accepts(series) or reason_to_skip("align", series)
        if refusal is None and self.params.angles == "tilt" and self.params.axis is None and tilt_axis(series.rotations) is None:
            refusal = "align: the rotations have no common tilt axis; set axis, or angles: all or none"
        return refusal

    def preprocess(self, series: TiltSeries, context: Context) -> Preprocessed:
        found = align(series, context.grid, self.params, threads=context.threads)
        remark = f"alignment refused: {found.refused}; the series is used as it was before the refinement" if found.refused else ""
        return Preprocessed(aligned(series, found), found.shifts_A, {"alignment_loss": found.losses}, remark)

    def cost(self, series_shape: tuple[int, ...], grid: Grid) -> Cost:
        p, voxels = self.params, float(math.prod(grid.shape))
        coarse = len(p.shift_blur_A) * p.rounds * p.iterations
        fine = len(p.angle_blur_A) * (p.angle_rounds + 1) * p.angle_iterations
        iterations = fine + coarse / 10 + 2 * p.iterations  # coarse voxels are few
        return Cost(5.0 + ALIGNED_DESCENT_S * voxels * series_shape[0] * iterations, 3e8 + 60 * voxels)
