"""The forward model of local-orbital tomography and its exact gradient (Mao, Cui & Yu 2024).

An atom at r is at R r + drift in the laboratory; there it is a Gaussian of weight W (its integral over the image, Å²) and width B,

    D(ρ) = W/(πB) exp(−ρ²/B) = H exp(−ρ²/B),                                       (LOT, eqs. 2-3)
    I(u) = Σ_k p_k ⊗ O_k,    O_k = Σ_{atoms in slice k} D,                           (LOT, eq. 4)
    L = ½ Σ_images Σ_pixels (I − I_obs)²,

with a probe intensity p_k of unit sum for every slice along the beam, or none at all (direct projection).

Probes are narrower than the pixels of many images. The planes O_k are therefore drawn on pixels a few times finer, which hold all
frequencies that a probe passes; the image is the fine one at the probe positions. On that grid a narrow Gaussian would still be
undersampled: each is widened by a common S and the transfer function of the probe divided by that of the widening,

    T_k(q) = p̂_k(q) exp(+π² S q²),

as in a non-uniform Fourier transform (Dutt & Rokhlin, SIAM J. Sci. Comput. 14 (1993) 1368, doi:10.1137/0914081), so that any
B ≥ 0 is exact to the error of the gridding.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Protocol

import numpy as np

from benchsuite.physics.fft import fftw
from benchsuite.physics.gaussians.atoms import Gradient, Imaging, Orbitals, View
from benchsuite.physics.gaussians.engine_array import ArrayEngine
from benchsuite.physics.gaussians.engine_numba import CpuEngine
from benchsuite.physics.gaussians.fine_grid import FineGrid
from benchsuite.physics.gaussians.probe_stack import ProbeStack

SPREAD = 2.0  # S in squared fine pixels


def ramp(shape: tuple[int, int]) -> np.ndarray:
    """Return weights (ny, nx//2 + 1) float32 of frequencies in proportion to |q|, 1 at the Nyquist frequency, never 0.

    A projection weighs the frequencies of a specimen by 1/|q|: so weighted, all of them count and converge alike.
    """
    qy, qx = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
    return (2 * np.maximum(np.hypot(qy[:, None], qx), 0.5 / max(shape))).astype(np.float32)


class Engine(Protocol):
    """What draws atoms and gathers gradients; arguments and results as those of `OrbitalModel`."""

    def image(self, atoms: Orbitals, view: View) -> np.ndarray: ...

    def gradient(self, atoms: Orbitals, views: Sequence[View], measured: np.ndarray, with_probes: bool) -> Gradient: ...


class OrbitalModel(Imaging):
    """The model for images of one shape and step. Atoms, views and images come and go in host memory, wherever `xp` calculates."""

    def __init__(
        self,
        grid: FineGrid,
        probes: ProbeStack | None = None,
        threads: int = 1,
        xp: ModuleType = np,
        compiled: bool = True,
    ) -> None:
        super().__init__(grid, probes, threads, xp)
        use_compiled = compiled and xp is np and fftw.available()
        self.engine: Engine = CpuEngine(self) if use_compiled else ArrayEngine(self)

    def image(self, atoms: Orbitals, view: View) -> np.ndarray:
        """Return I (ny, nx) float32 of one view."""
        return self.engine.image(atoms, view)

    def gradient(self, atoms: Orbitals, views: Sequence[View], measured: np.ndarray, with_probes: bool = False) -> Gradient:
        """Return loss and derivatives for views with images measured (m, ny, nx) float32."""
        return self.engine.gradient(atoms, views, measured, with_probes)
