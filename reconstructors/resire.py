"""RESIRE: real-space iterative reconstruction by least squares with positivity.

    minimise  f(V) = ½ Σ_θ ‖A_θ V − b_θ‖²   over V ≥ 0,      ∇f(V) = Σ_θ A_θᵀ (A_θ V − b_θ)

with the exact adjoint pair of `projection`. Two updates, both from V = 0:

    paper        V ← max(0, V − s/(n N_x) ∇f(V))             n tilts, N_x voxels along x, weights as for voxel = pixel = 1
    accelerated  V' = max(0, Y − ∇f(Y)/L),  Y = V' + (t−1)/t' (V' − V),  t' = (1 + √(1 + 4t²))/2

L is a rigorous bound of the largest eigenvalue of AᵀA, and the momentum restarts (t = 1) whenever f has risen. As A is
linear, A Y follows from A V' and A V, so that an iteration costs one projection and one adjoint and its loss is exact.

M. Pham, Y. Yuan, A. Rana, S. Osher, J. Miao, Sci. Rep. 13 (2023) 5624, doi:10.1038/s41598-023-31124-7.
A. Beck, M. Teboulle, SIAM J. Imaging Sci. 2 (2009) 183, doi:10.1137/080716542 (acceleration).
B. O'Donoghue, E. Candès, Found. Comput. Math. 15 (2015) 715, doi:10.1007/s10208-013-9150-3 (restart).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
from pydantic import Field

from benchsuite.contract.algorithm import Context
from benchsuite.contract.cost import Cost
from benchsuite.contract.reconstructor import Iterate, Reconstructor
from benchsuite.data import Grid, TiltSeries
from benchsuite.params import Count, Params, Positive
from benchsuite.physics.backend import Array
from benchsuite.physics.projection.projector import LinearMap, Projector
from benchsuite.reconstructors.images import PROJECTIONS, projections, reason_to_skip


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
    """Least squares on voxels with positivity. Each iterate's extras hold `r1` = Σ|A V − b| / Σ|b|."""

    Params = RESIREParams
    modalities = PROJECTIONS
    title = "RESIRE: real-space iterative reconstruction"
    reference = "Pham et al., Sci. Rep. 13 (2023) 5624, doi:10.1038/s41598-023-31124-7"

    def accepts(self, series: TiltSeries) -> str | None:
        return reason_to_skip("RESIRE", series)

    def reconstruct(self, series: TiltSeries, context: Context) -> Iterator[Iterate]:
        measured = projections(series, context.xp)
        projector = Projector(
            series.rotations,
            context.grid,
            series.scan_shape,
            series.scan_step_A,
            context.xp,
            subvoxels=self.params.subvoxels,
            threads=context.threads,
        )
        volume = context.xp.zeros(context.grid.shape, dtype=np.float32)
        if self.params.update == "paper":
            unit = (projector.weight * projector.subvoxels**3) ** 2
            step = self.params.step_size / (len(measured) * context.grid.shape[2] * unit)
            return plain_descent(projector, measured, volume, step, self.params.iterations)
        step = 1.0 / largest_eigenvalue(projector, context.grid.shape)
        return accelerated_descent(projector, measured, volume, step, self.params.iterations)

    def cost(self, series_shape: tuple[int, ...], grid: Grid) -> Cost:
        voxels, parts = float(math.prod(grid.shape)), self.params.subvoxels**3
        pairs = self.params.iterations + (3 if self.params.update == "accelerated" else 0)
        return Cost(
            seconds=5e-9 * voxels * series_shape[0] * parts * pairs + 2.5e-8 * voxels * pairs,
            bytes=4 * (8 * voxels + 8 * float(math.prod(series_shape))) + 2e8,
        )


def plain_descent(projector: LinearMap, measured: Array, volume: Array, step: float, iterations: int) -> Iterator[Iterate]:
    """Gradient steps of one length, negatives clipped."""
    xp = projector.xp
    residual = projector.forward(volume) - measured
    for iteration in range(1, iterations + 1):
        volume = xp.maximum(volume - volume.dtype.type(step) * projector.adjoint(residual), 0)
        residual = projector.forward(volume) - measured
        yield iterate(iteration, volume, residual, measured)


def accelerated_descent(projector: LinearMap, measured: Array, volume: Array, step: float, iterations: int) -> Iterator[Iterate]:
    """Projected gradient steps with momentum, which restarts where the loss has risen."""
    xp = projector.xp
    real = volume.dtype.type
    point, calculated = volume, projector.forward(volume)
    calculated_point = calculated
    momentum, loss = 1.0, half_square(calculated - measured)
    for iteration in range(1, iterations + 1):
        new = xp.maximum(point - real(step) * projector.adjoint(calculated_point - measured), 0)
        calculated_new = projector.forward(new)
        state = iterate(iteration, new, calculated_new - measured, measured)
        if state.loss > loss:  # type: ignore[operator]
            momentum = 1.0
        following = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        weight = real((momentum - 1.0) / following)
        point = new + weight * (new - volume)
        calculated_point = calculated_new + weight * (calculated_new - calculated)
        volume, calculated, momentum, loss = new, calculated_new, following, state.loss  # type: ignore[assignment]
        yield state


def iterate(iteration: int, volume: Array, residual: Array, measured: Array) -> Iterate:
    """Return the Iterate of a least-squares method: loss ½‖residual‖², and r1 in its extras."""
    scale = float(abs(measured).sum(dtype=np.float64))
    r1 = float(abs(residual).sum(dtype=np.float64)) / scale if scale > 0 else 0.0
    return Iterate(iteration, half_square(residual), volume=volume, extras={"r1": np.array(r1)})


def half_square(residual: Array) -> float:
    """½ Σ residual², summed in double precision."""
    return 0.5 * float((residual * residual).sum(dtype=np.float64))


def largest_eigenvalue(projector: LinearMap, shape: tuple[int, ...], iterations: int = 3) -> float:
    """Return an upper bound of the largest eigenvalue of AᵀA, within a few per cent of it.

    AᵀA has no negative element, so the Collatz-Wielandt ratio max_r (AᵀA x)_r / x_r bounds its spectral radius for every
    x that is positive wherever AᵀA is not zero; power iterations from x = 1 keep x so and tighten the bound.
    """
    xp = projector.xp
    x = xp.ones(shape, dtype=np.float32)
    bound = np.inf
    for _ in range(iterations):
        image = projector.adjoint(projector.forward(x))
        seen = (image > 0) & (x > 0)
        if not bool(seen.any()):
            raise ValueError("no voxel of the grid is projected onto any image")
        bound = min(bound, float((image[seen] / x[seen]).max()))
        x = image / image.max()
    return bound
