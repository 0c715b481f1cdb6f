"""RESIRE: real-space iterative reconstruction by least squares with positivity.

    minimise  f(V) = ½ Σ_θ ‖A_θ V − b_θ‖²   over V ≥ 0,      ∇f(V) = Σ_θ A_θᵀ (A_θ V − b_θ)

with the exact adjoint pair of `projection`. Two updates, both from V = 0:

    paper        V ← max(0, V − s/(n N_x) ∇f(V))             n tilts, N_x voxels along x, weights as for voxel = pixel = 1
    accelerated  with momentum that restarts where f has risen (`solvers.fista`)

M. Pham, Y. Yuan, A. Rana, S. Osher, J. Miao, Sci. Rep. 13 (2023) 5624, doi:10.1038/s41598-023-31124-7.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
from pydantic import Field

from benchsuite.contract.algorithm import Context
from benchsuite.contract.plug import Cost
from benchsuite.contract.reconstructor import Iterate, Reconstructor
from benchsuite.data import Grid, TiltSeries
from benchsuite.params import Count, Params, Positive
from benchsuite.physics.backend import Array
from benchsuite.physics.projection.projector import LinearMap
from benchsuite.reconstructors.checks import PROJECTIONS, projections, projector_of, reason_to_skip
from benchsuite.reconstructors.costs import DESCENT_S, PROJECTION_S
from benchsuite.reconstructors.solvers.fista import FISTA, half_square, largest_eigenvalue


class RESIREParams(Params):
    iterations: Count = Field(
        50, description="Number of iterations; accelerated: 40 to 100, paper: 100 for clean data, 200 and more for noisy data"
    )
    update: Literal["accelerated", "paper"] = Field(
        "accelerated", description="Gradient descent with momentum (accelerated), or plain gradient descent (paper)"
    )
    step_size: Positive = Field(2.0, description="Step s of the paper's update, 1 to 3; not used by the accelerated one")
    subvoxels: Count = Field(1, description="Subdivisions of a voxel per axis in the projection")


class RESIRE(Reconstructor[RESIREParams]):
    """Least squares on voxels with positivity."""

    Params = RESIREParams
    modalities = PROJECTIONS
    title = "RESIRE: real-space iterative reconstruction"
    reference = "Pham et al., Sci. Rep. 13 (2023) 5624, doi:10.1038/s41598-023-31124-7"

    def accepts(self, series: TiltSeries) -> str | None:
        return reason_to_skip("RESIRE", series)

    def reconstruct(self, series: TiltSeries, context: Context) -> Iterator[Iterate]:
        measured = projections(series, context.xp)
        projector = projector_of(series, context, self.params.subvoxels)
        volume = context.xp.zeros(context.grid.shape, dtype=np.float32)
        if self.params.update == "paper":
            unit = (projector.weight * projector.subvoxels**3) ** 2
            step = self.params.step_size / (len(measured) * context.grid.shape[2] * unit)
            yield from plain_descent(projector, measured, volume, step, self.params.iterations)
            return
        solver = FISTA(projector, measured, volume, 1.0 / largest_eigenvalue(projector, context.grid.shape))
        if context.resumed is not None:
            solver.resume(context.resumed)
        while solver.iteration < self.params.iterations:
            loss = solver.advance()
            yield Iterate(solver.iteration, loss, volume=solver.x, state=solver.snapshot())

    def cost(self, series_shape: tuple[int, ...], grid: Grid) -> Cost:
        voxels, parts = float(math.prod(grid.shape)), self.params.subvoxels**3
        pairs = self.params.iterations + (3 if self.params.update == "accelerated" else 0)
        return Cost(
            seconds=PROJECTION_S * voxels * series_shape[0] * parts * pairs + DESCENT_S * voxels * pairs,
            bytes=4 * (8 * voxels + 8 * float(math.prod(series_shape))) + 2e8,
        )


def plain_descent(projector: LinearMap, measured: Array, volume: Array, step: float, iterations: int) -> Iterator[Iterate]:
    """Gradient steps of one length, negatives clipped."""
    xp = projector.xp
    residual = projector.forward(volume) - measured
    for iteration in range(1, iterations + 1):
        volume = xp.maximum(volume - volume.dtype.type(step) * projector.adjoint(residual), 0)
        residual = projector.forward(volume) - measured
        yield Iterate(iteration, half_square(residual), volume=volume)
