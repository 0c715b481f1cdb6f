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

import queue
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.fft import irfft2, rfft2

from benchsuite.compiled import run_pieces
from benchsuite.geometry import rotation_from_vector
from reconstructors import fftw
from reconstructors.fine_grid import FineGrid
from reconstructors.orbitals_cpu import add_power, add_product, gather, in_slices, set_product, splat, to_gradient
from reconstructors.probe_stack import ProbeStack

PIECES = 4  # groups of images whose gradients are added up apart, whatever the number of threads
SPREAD = 2.0  # S in squared fine pixels


def ramp(shape: tuple[int, int]) -> np.ndarray:
    """Return weights (ny, nx//2 + 1) float32 of frequencies in proportion to |q|, 1 at the Nyquist frequency, never 0.

    A projection weighs the frequencies of a specimen by 1/|q|: so weighted, all of them count and converge alike.
    """
    qy, qx = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
    return (2 * np.maximum(np.hypot(qy[:, None], qx), 0.5 / max(shape))).astype(np.float32)


@dataclass(frozen=True)
class Orbitals:
    """Atoms as local orbitals: positions (n, 3) in Å about the centre of the box, weight (n,) W in Å², width (n,) B in Å²."""

    positions: np.ndarray
    weight: np.ndarray
    width: np.ndarray

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def height(self) -> np.ndarray:
        """H, the peak of the projected Gaussian."""
        return self.weight / (np.pi * self.width)

    def kept(self, which: np.ndarray) -> Orbitals:
        """Return the orbitals of a mask or of indices."""
        return Orbitals(self.positions[which], self.weight[which], self.width[which])


@dataclass(frozen=True)
class View:
    """How one image sees the specimen, and the stack of probes with which, one for every focus.

    rotation: (3, 3), nominal. correction: (3,) in rad about the axes of the laboratory. drift: (2,) = (x, y) in Å.
    """

    rotation: np.ndarray
    stack: int
    correction: np.ndarray
    drift: np.ndarray

    def corrected(self) -> np.ndarray:
        """The rotation with its correction."""
        return rotation_from_vector(self.correction) @ self.rotation

    def moved(self, drift: np.ndarray, correction: np.ndarray) -> View:
        """Return the view with that added to its drift and correction."""
        return replace(self, drift=self.drift + drift, correction=self.correction + correction)


@dataclass
class ProbeGradient:
    """∂L/∂p (slices, w, w) of a stack on its windows, and the power Σ |O_k|² (rows, half columns) of the planes it came from."""

    gradient: np.ndarray
    power: np.ndarray

    def add(self, other: ProbeGradient) -> None:
        """Add another one of the same stack."""
        self.gradient += other.gradient
        self.power += other.power


@dataclass(frozen=True)
class Gradient:
    """loss: (m,) ½ Σ residual² of each image. absolute: (m,) Σ |residual|. atoms: (n, 5) derivatives by x, y, z, W, B.

    views: (m, 5) by drift x, y and rotations about x, y, z of the laboratory. probes: by stack, where they were asked for.
    """

    loss: np.ndarray
    absolute: np.ndarray
    atoms: np.ndarray
    views: np.ndarray
    probes: dict[int, ProbeGradient]


class OrbitalModel:
    """The model for images of one shape and step: `direct` without probes, else with a stack for every focus.

    Slices are those of the probes, all as thick as the first two are apart; atoms beyond the ends belong to the outermost ones.
    """

    def __init__(self, grid: FineGrid, probes: ProbeStack | None = None, threads: int = 1) -> None:
        self.grid, self.probes, self.threads = grid, probes, threads
        self.weights: np.ndarray | None = None  # of the frequencies of the residual; None: all alike
        self.slices, self.first_depth_A, self.thickness_A, self.spread_A2 = 1, 0.0, np.inf, 0.0
        if probes is not None:
            depths = probes.depths_A
            self.slices, self.spread_A2 = len(depths), probes.spread_A2
            self.thickness_A = float(depths[1] - depths[0]) if len(depths) > 1 else np.inf
            self.first_depth_A = float(depths[0]) - self.thickness_A / 2 if len(depths) > 1 else 0.0
        self._free: queue.SimpleQueue[_Buffers] = queue.SimpleQueue()

    def image(self, atoms: Orbitals, view: View) -> np.ndarray:
        """Return I (ny, nx) float32 of one view."""
        buffers = self._take()
        image = self._forward(_Seen(self, atoms, view), view.stack, buffers, keep=False)
        self._free.put(buffers)
        return image

    def gradient(self, atoms: Orbitals, views: Sequence[View], measured: np.ndarray, with_probes: bool = False) -> Gradient:
        """Return loss and derivatives for views with images measured (m, ny, nx) float32."""
        edges = np.linspace(0, len(views), min(PIECES, len(views)) + 1).astype(int)
        loss, absolute, by_view = np.empty(len(views)), np.empty(len(views)), np.zeros((len(views), 5))
        by_atom = [np.zeros((len(atoms), 5)) for _ in edges[1:]]
        by_probe: list[dict[int, ProbeGradient]] = [{} for _ in edges[1:]]

        def piece(number: int) -> None:
            buffers = self._take()
            for j in range(edges[number], edges[number + 1]):
                seen = _Seen(self, atoms, views[j])
                residual = self._forward(seen, views[j].stack, buffers, keep=with_probes)
                residual -= measured[j]
                absolute[j] = float(np.abs(residual).sum(dtype=np.float64))
                weighted = self._weighted(residual)
                loss[j] = 0.5 * float(np.vdot(residual, weighted))
                self._backward(
                    seen, views[j].stack, weighted, buffers, by_atom[number], by_view[j], by_probe[number] if with_probes else None
                )
            self._free.put(buffers)

        run_pieces(piece, range(len(edges) - 1), self.threads)
        for part in by_atom[1:]:
            by_atom[0] += part
        merged: dict[int, ProbeGradient] = {}
        for found in by_probe:
            for stack, one in found.items():
                if stack in merged:
                    merged[stack].add(one)
                else:
                    merged[stack] = one
        return Gradient(loss, absolute, by_atom[0], by_view, merged)

    def _weighted(self, residual: np.ndarray) -> np.ndarray:
        if self.weights is None:
            return residual
        return irfft2(rfft2(residual) * self.weights, s=residual.shape)

    def _take(self) -> _Buffers:
        try:
            return self._free.get_nowait()
        except queue.Empty:
            return _Buffers(self.grid, self.probes is not None)

    def _forward(self, seen: _Seen, stack: int, buffers: _Buffers, keep: bool) -> np.ndarray:
        grid = self.grid
        if self.probes is None:
            buffers.plane[...] = 0
            splat(buffers.plane, seen.order, seen.u, seen.v, seen.peak, seen.width)
            return grid.picked(buffers.plane).copy()
        buffers.total[...] = 0
        buffers.kept.clear()
        for k, atoms in seen.slices():
            buffers.plane[...] = 0
            splat(buffers.plane, atoms, seen.u, seen.v, seen.peak, seen.width)
            grid.forward(buffers.plane, buffers.spectrum)
            add_product(buffers.total.ravel(), buffers.spectrum.ravel(), self.probes.transfer[stack][k].ravel())
            if keep:
                buffers.kept[k] = buffers.spectrum.copy()
        grid.backward(buffers.total, buffers.plane)
        return grid.picked(buffers.plane) * np.float32(1 / buffers.plane.size)

    def _backward(
        self,
        seen: _Seen,
        stack: int,
        residual: np.ndarray,
        buffers: _Buffers,
        by_atom: np.ndarray,
        by_view: np.ndarray,
        by_probe: dict[int, ProbeGradient] | None,
    ) -> None:
        grid, sums = self.grid, np.zeros((len(seen.u), 4))
        buffers.plane[...] = 0
        grid.picked(buffers.plane)[...] = residual
        if self.probes is None:
            gather(buffers.plane, seen.order, seen.u, seen.v, seen.width, sums)
        else:
            transfer, factor = self.probes.transfer[stack], np.float32(1 / buffers.plane.size)
            grid.forward(buffers.plane, buffers.total)
            if by_probe is not None and stack not in by_probe:
                windows = np.zeros_like(self.probes.windows[stack])
                by_probe[stack] = ProbeGradient(windows, np.zeros(grid.half_shape, np.float32))
            for k, atoms in seen.slices():
                if by_probe is not None:
                    drawn = buffers.kept[k].ravel()
                    add_power(by_probe[stack].power.ravel(), drawn)
                    set_product(buffers.spectrum.ravel(), buffers.total.ravel(), drawn, factor)
                    buffers.spectrum *= self.probes.widening
                    grid.backward(buffers.spectrum, buffers.plane)
                    by_probe[stack].gradient[k] += self.probes.window_of(buffers.plane)
                set_product(buffers.spectrum.ravel(), buffers.total.ravel(), transfer[k].ravel(), factor)
                grid.backward(buffers.spectrum, buffers.plane)
                gather(buffers.plane, atoms, seen.u, seen.v, seen.width, sums)
        width_A2 = seen.width * grid.pixel_A**2
        to_gradient(sums, *seen.lab, seen.peak, width_A2, seen.rotation, grid.pixel_A, by_atom, by_view)


class _Seen:
    """The atoms as one view sees them: laboratory positions in Å and in fine pixels, ordered by slice."""

    def __init__(self, model: OrbitalModel, atoms: Orbitals, view: View) -> None:
        grid = model.grid
        self.rotation = view.corrected()
        self.lab = np.ascontiguousarray(self.rotation @ atoms.positions.T)
        centre_y, centre_x = grid.centre
        self.u = (self.lab[0] + view.drift[0]) / grid.pixel_A + centre_x
        self.v = (self.lab[1] + view.drift[1]) / grid.pixel_A + centre_y
        width = atoms.width + model.spread_A2
        self.peak = atoms.weight / (np.pi * width)
        self.width = width / grid.pixel_A**2
        self.order, self.start = in_slices(self.lab[2], model.first_depth_A, model.thickness_A, model.slices)

    def slices(self) -> list[tuple[int, np.ndarray]]:
        """Return (slice, atoms in it) of every slice that holds some."""
        occupied = np.flatnonzero(np.diff(self.start))
        return [(int(k), self.order[self.start[k] : self.start[k + 1]]) for k in occupied]


class _Buffers:
    """What one thread draws on."""

    def __init__(self, grid: FineGrid, spectra: bool) -> None:
        rows, columns = grid.shape
        self.plane = fftw.aligned((rows, columns // 2)).view(np.float32)
        self.spectrum, self.total = (fftw.aligned(grid.half_shape) if spectra else np.empty(0) for _ in range(2))
        self.kept: dict[int, np.ndarray] = {}
