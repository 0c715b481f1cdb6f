"""FISTA with restart: accelerated projected gradients for least squares with positivity.

    minimise  f(x) = ½ ‖A x − b‖²   over x ≥ 0
    x' = max(0, y − ∇f(y)/L),   y = x' + (t−1)/t' (x' − x),   t' = (1 + √(1 + 4t²))/2

L is a rigorous bound of the largest eigenvalue of AᵀA, and the momentum restarts (t = 1) whenever f has risen. As A is
linear, A y follows from A x' and A x, so that an iteration costs one forward map and one adjoint and its loss is exact.

A. Beck, M. Teboulle, SIAM J. Imaging Sci. 2 (2009) 183, doi:10.1137/080716542 (acceleration).
B. O'Donoghue, E. Candès, Found. Comput. Math. 15 (2015) 715, doi:10.1007/s10208-013-9150-3 (restart).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchsuite.physics.backend import Array
from benchsuite.physics.projection.projector import LinearMap


class FISTA:
    """The minimisation under way: `x` and its `loss` after `iteration` iterations. step: 1/L."""

    def __init__(self, operator: LinearMap, measured: Array, start: Array, step: float) -> None:
        self.operator, self.measured, self.step = operator, measured, start.dtype.type(step)
        self.x = self._point = start
        self._image = self._image_of_point = operator.forward(start)
        self._momentum, self.loss, self.iteration = 1.0, half_square(self._image - measured), 0

    def advance(self) -> float:
        """Make an iteration and return the loss after it."""
        xp, real = self.operator.xp, self.x.dtype.type
        x = xp.maximum(self._point - self.step * self.operator.adjoint(self._image_of_point - self.measured), 0)
        image = self.operator.forward(x)
        loss = half_square(image - self.measured)
        momentum = 1.0 if loss > self.loss else self._momentum
        following = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        weight = real((momentum - 1.0) / following)
        self._point = x + weight * (x - self.x)
        self._image_of_point = image + weight * (image - self._image)
        self.x, self._image, self._momentum, self.loss = x, image, following, loss
        self.iteration += 1
        return loss

    def snapshot(self) -> dict[str, Array]:
        """Return arrays from which `resume` goes on with equal bits."""
        arrays = {"x": self.x, "point": self._point, "image": self._image, "image_of_point": self._image_of_point}
        return {**arrays, "progress": np.array([self.iteration, self._momentum, self.loss])}

    def resume(self, saved: Mapping[str, np.ndarray]) -> None:
        """Go on from a snapshot."""
        xp = self.operator.xp
        self.x, self._point = xp.asarray(saved["x"]), xp.asarray(saved["point"])
        self._image, self._image_of_point = xp.asarray(saved["image"]), xp.asarray(saved["image_of_point"])
        iteration, self._momentum, self.loss = saved["progress"].tolist()
        self.iteration = int(iteration)


def nonnegative_least_squares(operator: LinearMap, measured: Array, start: Array, step: float, iterations: int) -> Array:
    """Return x after some iterations of FISTA."""
    solver = FISTA(operator, measured, start, step)
    for _ in range(iterations):
        solver.advance()
    return solver.x


def half_square(residual: Array) -> float:
    """½ Σ residual², summed in double precision."""
    return 0.5 * float((residual * residual).sum(dtype=np.float64))


def largest_eigenvalue(operator: LinearMap, shape: tuple[int, ...], iterations: int = 3) -> float:
    """Return an upper bound of the largest eigenvalue of AᵀA, within a few per cent of it.

    AᵀA has no negative element, so the Collatz-Wielandt ratio max_r (AᵀA x)_r / x_r bounds its spectral radius for every
    x that is positive wherever AᵀA is not zero; power iterations from x = 1 keep x so and tighten the bound.
    """
    xp = operator.xp
    x = xp.ones(shape, dtype=np.float32)
    bound = np.inf
    for _ in range(iterations):
        image = operator.adjoint(operator.forward(x))
        covered = (image > 0) & (x > 0)
        if not bool(covered.any()):
            raise ValueError("no voxel of the grid is projected onto any image")
        bound = min(bound, float((image[covered] / x[covered]).max()))
        x = image / image.max()
    return bound
