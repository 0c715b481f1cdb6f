"""The probes of local-orbital tomography: an intensity for every slice along the beam and every focus of a series.

They begin as those of the optics, propagated in free space (rigid). `follow` lets them change pixel by pixel (adaptive) within a
window around the beam; the far tails stay as they are. In the image of slice k, Î = p̂_k Ô_k, so the curvature of the loss is
diagonal in frequency, and each slice moves to the minimum of

    Σ_x g_k δ_k + ½ Σ_q C |δ̂_k|²,    C = min(1, (1 + √(K/m))²/K) Σ_k Σ_images |Ô_k|²,    g_k = ∂L/∂p_k,

over the intensities, p_k + δ_k ≥ 0 and Σ δ_k = 0, by accelerated projected gradients (Beck & Teboulle 2009). The factor of C bounds
what m images tell about the differences of K slices, were their planes random (Marchenko & Pastur, 1967).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchsuite.data import Optics
from benchsuite.physics.electrons import wavelength_A
from benchsuite.physics.gaussians.fine_grid import FineGrid
from benchsuite.physics.probe import probe_intensity

DESCENT_STEPS = 40  # of the constrained minimisation
BAND_MARGIN = 1.02  # a probe passes frequencies up to 2α/λ; what is beyond is not widened, only noise
MIN_CURVATURE = 1e-3  # of the greatest curvature: the least


class ProbeStack:
    """Probes on a fine grid.

    foci_A: (n,) defocus of each stack at depth 0; depths_A: (K,) centres of the slices. spread_A2: S of `model`.
    `transfer`: a list of (K, rows, half columns) complex64, one for each focus, widening included; `versions`: a number for each,
    which grows when it changes. `inside`: the rows (w, 1) and columns (1, w) of a fine plane that are the window of a probe.
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
        self.grid, self.optics, self.foci_A, self.depths_A, self.spread_A2 = grid, optics, foci_A, depths_A, spread_A2
        semiangle = optics.semiangle_mrad * 1e-3
        squared = grid.frequencies_squared()
        band = squared < (BAND_MARGIN * 2 * semiangle / wavelength_A(optics.energy_keV)) ** 2
        self.widening = np.where(band, np.exp(np.pi**2 * spread_A2 * squared), 0).astype(np.float32)
        furthest = max(abs(focus - depth) for focus in foci_A for depth in depths_A)
        radius = radius_A or semiangle * furthest + 4.0
        half = min(int(np.ceil(radius / grid.pixel_A)), min(grid.shape) // 2 - 1)
        axis = np.arange(-half, half + 1)
        self.inside = np.ix_(axis % grid.shape[0], axis % grid.shape[1])
        self.windows, self.transfer = [], []
        for focus in foci_A:
            free = [self._free(focus - depth) for depth in depths_A]
            self.windows.append(np.stack([self.window_of(plane) for plane in free]))
            self.transfer.append(np.stack([self._widened(plane) for plane in free]))
        self.versions = [0] * len(foci_A)
        self.initial = [window.copy() for window in self.windows]
        self._sums = [window.sum(axis=(1, 2), dtype=np.float64) for window in self.windows]

    def _free(self, local_defocus_A: float) -> np.ndarray:
        return probe_intensity(self.optics, local_defocus_A, self.grid.shape, self.grid.pixel_A).astype(np.float32)

    def _widened(self, plane: np.ndarray) -> np.ndarray:
        return (np.fft.rfft2(plane) * self.widening).astype(np.complex64)

    def window_of(self, plane: np.ndarray) -> np.ndarray:
        """Return the (w, w) pixels of a fine plane around the origin, its corner: what may change of a probe."""
        return plane[self.inside]

    def sharpest_depths_A(self) -> np.ndarray:
        """Return (n_focus,) the depth where the probes of each stack are sharpest: Σ p², a parabola through five slices.

        Among the slices in which they followed the data; where none did, among all.
        """
        found = []
        for windows, initial in zip(self.windows, self.initial, strict=True):
            changed = (windows != initial).any(axis=(1, 2))
            used = np.flatnonzero(changed) if changed.any() else np.arange(len(windows))
            depths, sharpness = self.depths_A[used], (windows[used].astype(np.float64) ** 2).sum(axis=(1, 2))
            best = int(sharpness.argmax())
            near = slice(max(0, best - 2), best + 3)
            if len(depths[near]) < 3:
                found.append(depths[best])
                continue
            bend, slope, _ = np.polyfit(depths[near], sharpness[near], 2)
            found.append(np.clip(-slope / (2 * bend), depths[near][0], depths[near][-1]) if bend < 0 else depths[best])
        return np.array(found)

    def follow(self, stack: int, gradient: np.ndarray, power: np.ndarray, images: int, step: float = 1.0) -> None:
        """Move the probes of a stack, for ∂L/∂p (K, w, w) and the power Σ_k Σ_images |O_k|² of so many images."""
        count = len(self.depths_A)
        factor = min(1.0, (1 + np.sqrt(count / images)) ** 2 / count)
        curvature = self._on_window(power * self.widening**2 * (factor / step))
        for k in np.flatnonzero(np.abs(gradient).max(axis=(1, 2)) > 0):
            window = constrained_minimum(self.windows[stack][k], gradient[k], curvature, float(self._sums[stack][k]))
            self._set(stack, int(k), window.astype(np.float32))

    def _on_window(self, curvature: np.ndarray) -> np.ndarray:
        """Return a curvature, diagonal in the frequencies of the grid, on those of a field twice as wide as the windows."""
        around = np.fft.irfft2(curvature, s=self.grid.shape)
        side = min(2 * self.windows[0].shape[-1], *self.grid.shape) // 2 * 2
        axis = np.fft.fftfreq(side, 1 / side).astype(int)
        near = np.fft.rfft2(around[np.ix_(axis % self.grid.shape[0], axis % self.grid.shape[1])]).real
        return np.maximum(near, MIN_CURVATURE * near.max())

    def restore(self, stack: int, windows: np.ndarray) -> None:
        """Set the windows (K, w, w) of a stack to what `windows` held before."""
        for k, window in enumerate(windows):
            self._set(stack, k, window)

    def _set(self, stack: int, k: int, window: np.ndarray) -> None:
        plane = self._free(self.foci_A[stack] - self.depths_A[k])
        plane[self.inside] = window
        self.transfer[stack][k] = self._widened(plane)
        self.windows[stack][k] = window
        self.versions[stack] += 1


def constrained_minimum(start: np.ndarray, slope: np.ndarray, curvature: np.ndarray, total: float) -> np.ndarray:
    """Minimise slope · (p − start) + ½ (p − start)ᵀ C (p − start) over p ≥ 0 with that sum, approximately; arrays (w, w).

    curvature: C on the half spectrum of a field of even side, at least w.
    """
    side, greatest = len(curvature), float(curvature.max())
    rows, columns = start.shape
    best = point = start.astype(np.float64)
    momentum = 1.0
    for _ in range(DESCENT_STEPS):
        bent = np.fft.irfft2(np.fft.rfft2(point - start, s=(side, side)) * curvature, s=(side, side))[:rows, :columns]
        new = onto_simplex(point - (slope + bent) / greatest, total)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        point = new + (momentum - 1) / following * (new - best)
        best, momentum = new, following
    return best


def onto_simplex(values: np.ndarray, total: float) -> np.ndarray:
    """Return the nearest array without negative elements whose sum is `total`: Duchi et al., ICML (2008) 272."""
    falling = np.sort(values, axis=None)[::-1].astype(np.float64)
    levels = (np.cumsum(falling) - total) / np.arange(1, falling.size + 1)
    level = levels[np.flatnonzero(falling > levels)[-1]]
    return np.maximum(values - level, 0)
