"""Landweber iteration, the smallest useful reconstructor: V ← max(0, V − step · Aᵀ(A V − b)).

L. Landweber, Am. J. Math. 73 (1951) 615, doi:10.2307/2372313. Try it: benchsuite run quickstart --plugin landweber.py
--set 'reconstructors=[landweber, resire]'
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from benchsuite import Context, Count, Iterate, Params, Positive, Projector, Reconstructor, TiltSeries, largest_eigenvalue


class LandweberParams(Params):
    iterations: Count = Field(150, description="gradient steps")
    relaxation: Positive = Field(1.8, description="step times the largest eigenvalue of AᵀA; below 2")


class Landweber(Reconstructor[LandweberParams]):
    Params = LandweberParams
    title = "Landweber iteration with positivity"
    reference = "Landweber, Am. J. Math. 73 (1951) 615, doi:10.2307/2372313"

    def reconstruct(self, series: TiltSeries, context: Context) -> Iterator[Iterate]:
        xp = context.xp
        measured = xp.asarray(series.data.mean(axis=1), dtype=np.float32)
        projector = Projector(series.rotations, context.grid, series.scan_shape, series.scan_step_A, xp)
        step = np.float32(self.params.relaxation / largest_eigenvalue(projector, context.grid.shape))
        volume = xp.zeros(context.grid.shape, dtype=np.float32)
        for iteration in range(1, self.params.iterations + 1):
            residual = projector.forward(volume) - measured
            volume = xp.maximum(volume - step * projector.adjoint(residual), 0)
            yield Iterate(iteration, 0.5 * float((residual**2).sum()), volume=volume)
