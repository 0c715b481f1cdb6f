"""The probes of local-orbital tomography: an intensity for every slice along the beam and every focus of a series.

They begin as those of the optics, propagated in free space (rigid). `follow` lets them change pixel by pixel (adaptive) within a
window around the beam; the far tails stay as they are. In the image of slice k, Î = p̂_k Ô_k, so the curvature of the loss is
diagonal in frequency,

    δp̂_k = −step · (∂L/∂p̂_k) / (3/K Σ_k Σ_images |Ô_k|²),        K slices,

which makes all frequencies converge alike. What comes out is projected onto the intensities: none negative, the sum of the window
as it was (the nearest such point: Duchi et al., ICML (2008) 272, doi:10.1145/1390156.1390191).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchsuite.data import Optics
from benchsuite.electrons import wavelength_A
from reconstructors.fine_grid import FineGrid
from reconstructors.probe import probe_transfer

BAND_MARGIN = 1.02  # a probe passes frequencies up to 2α/λ; what is beyond is not widened, only noise
DAMPING = 1e-3  # of the mean curvature, added to it


class ProbeStack:
    """Probes on a fine grid.

    foci_A: (n,) defocus of each stack at depth 0; depths_A: (K,) centres of the slices. spread_A2: S of `orbitals`.
    `transfer`: a list of (K, rows, half columns) complex64, one for each focus, widening included.
    """

    def __init__(
        self,
        grid: FineGrid,
        optics: Optics,
        foci_A: Sequence[float],
        depths_A: np.ndarray,
        spread_A2: float,
        radius_A: float | None = None,
    ) -> None:
        self.grid, self.depths_A, self.spread_A2 = grid, depths_A, spread_A2
        semiangle = optics.semiangle_mrad * 1e-3
        squared = grid.frequencies_squared()
        band = squared < (BAND_MARGIN * 2 * semiangle / wavelength_A(optics.energy_keV)) ** 2
        self.widening = np.where(band, np.exp(np.pi**2 * spread_A2 * squared), 0).astype(np.float32)
        free = [
            np.stack([probe_transfer(optics, focus - depth, grid.shape, grid.pixel_A) for depth in depths_A]) for focus in foci_A
        ]
        furthest = max(abs(focus - depth) for focus in foci_A for depth in depths_A)
        radius = radius_A or semiangle * furthest + 4.0
        half = min(int(np.ceil(radius / grid.pixel_A)), min(grid.shape) // 2 - 1)
        axis = np.arange(-half, half + 1)
        self._rows, self._columns = np.ix_(axis % grid.shape[0], axis % grid.shape[1])
        self.windows = [
            np.stack([np.fft.irfft2(slice_, s=grid.shape)[self._rows, self._columns] for slice_ in stack]).astype(np.float32)
            for stack in free
        ]
        self._sums = [window.sum(axis=(1, 2), dtype=np.float64) for window in self.windows]
        self.transfer = [stack * self.widening for stack in free]

    def follow(self, stack: int, gradient: np.ndarray, power: np.ndarray, step: float) -> None:
        """Move the probes of a stack against the gradient (K, rows, half columns) ∂L/∂T*; power: Σ_k Σ_images |O_k|²."""
        curvature = power * self.widening**2 * (3 / len(self.depths_A))
        curvature += DAMPING * float(curvature[self.widening > 0].mean())
        moves = gradient * (-step * self.widening / curvature)
        for k in np.flatnonzero(np.abs(gradient).max(axis=(1, 2)) > 0):
            moved = self.windows[stack][k] + np.fft.irfft2(moves[k], s=self.grid.shape)[self._rows, self._columns]
            self._set(stack, int(k), onto_simplex(moved, float(self._sums[stack][k])).astype(np.float32))

    def restore(self, stack: int, windows: np.ndarray) -> None:
        """Set the windows (K, w, w) of a stack to what `windows` held before."""
        for k, window in enumerate(windows):
            self._set(stack, k, window)

    def _set(self, stack: int, k: int, window: np.ndarray) -> None:
        change = np.zeros(self.grid.shape, np.float32)
        change[self._rows, self._columns] = window - self.windows[stack][k]
        self.transfer[stack][k] += (np.fft.rfft2(change) * self.widening).astype(np.complex64)
        self.windows[stack][k] = window


def onto_simplex(values: np.ndarray, total: float) -> np.ndarray:
    """Return the nearest array without negative elements whose sum is `total`."""
    falling = np.sort(values, axis=None)[::-1].astype(np.float64)
    levels = (np.cumsum(falling) - total) / np.arange(1, falling.size + 1)
    level = levels[np.flatnonzero(falling > levels)[-1]]
    return np.maximum(values - level, 0)
