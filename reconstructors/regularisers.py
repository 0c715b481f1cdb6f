"""What is added to the misfit of the data so that the answer is smooth where the data leave it open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchsuite.physics.backend import Array, get_array_module


@dataclass(frozen=True)
class TotalVariation:
    """Σ √(|∇V|² + edge²) with forward differences, free at the faces; smooth below `edge`, the change from voxel to voxel.

    L. Rudin, S. Osher, E. Fatemi, Physica D 60 (1992) 259, doi:10.1016/0167-2789(92)90242-F.
    """

    edge: float

    def value(self, volume: Array) -> float:
        """Return the sum over all voxels of a volume (nz, ny, nx)."""
        return float(self._length(self._differences(volume)).sum(dtype=np.float64))

    def gradient(self, volume: Array) -> Array:
        """Return the gradient with respect to every voxel."""
        xp = get_array_module(volume)
        steps = self._differences(volume)
        length = self._length(steps)
        total = xp.zeros_like(volume)
        for axis, step in enumerate(steps):
            total -= xp.diff(step / length, axis=axis, prepend=xp.zeros_like(xp.take(volume, xp.array([0]), axis=axis)))
        return total

    def _differences(self, volume: Array) -> list[Array]:
        xp = get_array_module(volume)
        return [xp.diff(volume, axis=axis, append=xp.take(volume, xp.array([-1]), axis=axis)) for axis in range(3)]

    def _length(self, steps: list[Array]) -> Array:
        xp = get_array_module(steps[0])
        return xp.sqrt(sum(step * step for step in steps) + np.float32(self.edge) ** 2)
