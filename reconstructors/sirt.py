"""SIRT: simultaneous iterative reconstruction.

    V ← V + λ C Aᵀ R (b − A V),   R = 1 / (A 1), C = 1 / (Aᵀ 1)

with negatives clipped on request. P. Gilbert, J. Theor. Biol. 36 (1972) 105, doi:10.1016/0022-5193(72)90180-4.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from benchsuite.contract.algorithm import Context
from benchsuite.contract.reconstructor import Iterate, Reconstructor
from benchsuite.data import TiltSeries
from benchsuite.params import Count, Params
from benchsuite.reconstructors.checks import PROJECTIONS, projections, projector_of, reason_to_skip
from benchsuite.reconstructors.solvers.fista import half_square


class SIRTParams(Params):
    iterations: Count = Field(100, description="Iterations over all tilts together")
    relaxation: float = Field(1.0, gt=0, lt=2, description="Relaxation λ; the iteration converges between 0 and 2")
    positivity: bool = Field(True, description="Set negative voxels to zero after every iteration")


class SIRT(Reconstructor[SIRTParams]):
    Params = SIRTParams
    modalities = PROJECTIONS
    title = "SIRT: simultaneous iterative reconstruction technique"
    reference = "Gilbert, J. Theor. Biol. 36 (1972) 105, doi:10.1016/0022-5193(72)90180-4"

    def accepts(self, series: TiltSeries) -> str | None:
        return reason_to_skip("SIRT", series)

    def reconstruct(self, series: TiltSeries, context: Context) -> Iterator[Iterate]:
        xp, p = context.xp, self.params
        measured = projections(series, xp)
        projector = projector_of(series, context)
        rows = projector.forward(xp.ones(context.grid.shape, dtype=np.float32))
        columns = projector.adjoint(xp.ones(measured.shape, dtype=np.float32))
        row_weight = xp.where(rows > 0, 1 / xp.maximum(rows, 1e-12), 0).astype(np.float32)
        column_weight = (np.float32(p.relaxation) * xp.where(columns > 0, 1 / xp.maximum(columns, 1e-12), 0)).astype(np.float32)
        volume = xp.zeros(context.grid.shape, dtype=np.float32)
        residual = -measured
        for iteration in range(1, p.iterations + 1):
            volume = volume - column_weight * projector.adjoint(row_weight * residual)
            if p.positivity:
                volume = xp.maximum(volume, 0)
            residual = projector.forward(volume) - measured
            yield Iterate(iteration, half_square(residual), volume=volume)
