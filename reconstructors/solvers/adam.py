"""Adam for local orbitals: from averages of the gradient to the direction of a step.

D. Kingma, J. Ba, ICLR (2015), arXiv:1412.6980.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOMENTUM, MEMORY = 0.9, 0.99  # decay rates of the averages of the gradient and of its square


@dataclass
class Adam:
    """Adam's averages for an array of parameters."""

    mean: np.ndarray
    square: np.ndarray
    count: int = 0

    @classmethod
    def like(cls, values: np.ndarray) -> Adam:
        return cls(np.zeros_like(values), np.zeros_like(values))

    def direction(self, gradient: np.ndarray) -> np.ndarray:
        """Return the unit-free direction to go, downhill."""
        self.count += 1
        self.mean += (1 - MOMENTUM) * (gradient - self.mean)
        self.square += (1 - MEMORY) * (gradient * gradient - self.square)
        scale = np.sqrt(self.square / (1 - MEMORY**self.count))
        least = 1e-12 * float(scale.max(initial=0.0)) + np.finfo(np.float64).tiny
        return -(self.mean / (1 - MOMENTUM**self.count)) / (scale + least)
