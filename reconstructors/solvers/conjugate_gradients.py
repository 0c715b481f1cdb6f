"""Conjugate gradients for a quadratic ½ xᵀ H x − bᵀ x whose H is known by its products with vectors.

M. Hestenes, E. Stiefel, J. Res. Nat. Bur. Stand. 49 (1952) 409, doi:10.6028/jres.049.044.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray], x: np.ndarray, residual: np.ndarray, iterations: int
) -> np.ndarray:
    """Return x (n,) after some iterations; product(d) is H d, and residual is b − H x at the start.

    Ends early where H is not positive along the direction, such as at the minimum.
    """
    x, direction = x.copy(), residual
    for _ in range(iterations):
        bent = product(direction)
        curvature = float(direction @ bent)
        if curvature <= 0:
            break
        length = float(residual @ residual) / curvature
        x += length * direction
        following = residual - length * bent
        direction = following + float(following @ following) / float(residual @ residual) * direction
        residual = following
    return x
