"""Adam: steps whose length follows from running averages of the gradient g and of its square.

    m ← m + (1 − β₁)(g − m),   v ← v + (1 − β₂)(|g|² − v),   s = √(v/(1 − β₂ᵏ)) + d max √(v/(1 − β₂ᵏ)) + ε

in the k-th update; the step is −η m / ((1 − β₁ᵏ) s) with a length η of the caller's. The damping d bounds the steps of parameters
that the data hardly depend on.

D. Kingma, J. Ba, ICLR (2015), arXiv:1412.6980.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from benchsuite.physics.backend import Array, get_array_module


@dataclass(frozen=True)
class Rates:
    """β₁ (momentum), β₂ (memory), d (damping) and ε (floor) of the equations above."""

    momentum: float
    memory: float
    damping: float
    floor: float = 1e-30


class Moments(NamedTuple):
    """m, s and 1 − β₁ᵏ of the equations above. Callers multiply them in the order that suits their precision."""

    mean: Array
    scale: Array
    correction: Any


class Adam:
    """The averages for an array of parameters, float or complex, in the array's module and precision.

    axes: how many leading axes `where` of `update` indexes; the parts of the array that it names are updated, and counted, alone.
    """

    def __init__(self, rates: Rates, like: Array, axes: int = 0) -> None:
        xp = get_array_module(like)
        self.rates, self.mean, self.square = rates, xp.zeros_like(like), xp.zeros_like(like.real)
        self.count = np.zeros(like.shape[:axes], np.int64)

    def update(self, gradient: Array, where: tuple[Any, ...] = ()) -> Moments:
        """Take in the gradient of the parameters, or of the part `where` of them."""
        xp, rates = get_array_module(gradient), self.rates
        self.count[where] += 1
        self.mean[where] += (1 - rates.momentum) * (gradient - self.mean[where])
        self.square[where] += (1 - rates.memory) * (squared(gradient) - self.square[where])
        scale = xp.sqrt(self.square[where] / self._correction(rates.memory, where))
        if scale.size:
            scale += rates.damping * scale.max() + rates.floor
        return Moments(self.mean[where], scale, self._correction(rates.momentum, where))

    def _correction(self, rate: float, where: tuple[Any, ...]) -> Any:
        """1 − rateᵏ: a number, or an array that broadcasts against the part `where`."""
        if self.count.ndim == 0:
            return 1 - rate ** int(self.count)
        count = np.asarray(self.count[where])
        count = count.reshape(count.shape + (1,) * (self.mean.ndim - self.count.ndim))
        return get_array_module(self.mean).asarray((1 - rate**count).astype(self.square.dtype))

    def rms(self) -> Array:
        """Return the root mean square of the gradients so far, over all parameters; at least one update must have been made."""
        xp = get_array_module(self.mean)
        return xp.sqrt(self.square.mean() / self._correction(self.rates.memory, ()))

    def snapshot(self, name: str) -> dict[str, Array]:
        """Return arrays, whose names begin with `name`, from which `resume` goes on."""
        return {f"{name}_mean": self.mean, f"{name}_square": self.square, f"{name}_count": self.count}

    def resume(self, saved: Mapping[str, np.ndarray], name: str) -> None:
        """Go on from a snapshot, which may hold other arrays, too."""
        xp = get_array_module(self.mean)
        self.mean, self.square = (xp.array(saved[f"{name}_{what}"]) for what in ("mean", "square"))
        self.count = np.array(saved[f"{name}_count"])


def squared(values: Array) -> Array:
    """Return |values|², without the roots that `abs` takes."""
    if values.dtype.kind != "c":
        return values * values
    return values.real**2 + values.imag**2
