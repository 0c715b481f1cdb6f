"""Shifts and angles of the images eliminated from the least squares of a volume.

Near a volume V₀ the images are b ≈ A V + J p, with the derivatives J_i of image i and its own few parameters p_i. For every V the
best p is known, p = J⁺ (b − A V), and what is left to minimise is

    f(V) = ½ Σ_i ‖Π_i (A_i V − b_i)‖²,      Π_i = 1 − J_i J_i⁺

by the descent that reconstructs volumes. This is a Gauss-Newton step in volume and parameters together: alternating between the
two is slow, since a volume that was fitted to misaligned images explains most of the misalignment.

G. Golub, V. Pereyra, Inverse Problems 19 (2003) R1, doi:10.1088/0266-5611/19/2/201 (elimination, "variable projection").
"""

from __future__ import annotations

import numpy as np

from benchsuite.physics.backend import Array, to_host
from benchsuite.reconstructors.alignment.blurred_projector import BlurredProjector

RIDGE = 1e-9  # relative, so that an empty image leaves its parameters where they are


class Eliminated:
    """Π A and its adjoint Aᵀ Π, as a linear map for `solvers.fista`. derivatives: (n, k, ny, nx)."""

    def __init__(self, projector: BlurredProjector, derivatives: Array) -> None:
        self.projector, self.xp, self.derivatives = projector, projector.xp, derivatives
        count = derivatives.shape[1]
        gram = np.empty((len(derivatives), count, count))
        for a in range(count):
            for b in range(a, count):
                product = (derivatives[:, a] * derivatives[:, b]).sum(axis=(1, 2), dtype=np.float64)
                gram[:, a, b] = gram[:, b, a] = to_host(product)
        diagonal = np.einsum("iaa->ia", gram)
        diagonal += RIDGE * diagonal.max(axis=0) + np.finfo(np.float64).tiny
        self._inverse = self.xp.asarray(np.linalg.inv(gram))

    def forward(self, volume: Array) -> Array:
        return self.without(self.projector.forward(volume))

    def adjoint(self, images: Array) -> Array:
        return self.projector.adjoint(self.without(images))

    def parameters(self, residual: Array) -> Array:
        """Return the (n, k) float64 parameters p = J⁺ r that explain residuals (n, ny, nx) best."""
        count = self.derivatives.shape[1]
        slopes = [(self.derivatives[:, a] * residual).sum(axis=(1, 2), dtype=np.float64) for a in range(count)]
        return (self._inverse * self.xp.stack(slopes, axis=1)[:, None, :]).sum(axis=2)

    def without(self, residual: Array) -> Array:
        """Return Π r: what no parameter explains."""
        found = self.parameters(residual).astype(np.float32)
        for a in range(found.shape[1]):
            residual = residual - found[:, a, None, None] * self.derivatives[:, a]
        return residual
