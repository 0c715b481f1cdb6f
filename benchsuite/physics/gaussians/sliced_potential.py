"""Atoms as the object of the multislice model: the projected phase of every slice, and the exact gradient with respect to atoms.

An atom of weight W and width B at r is, in three dimensions, W Σ_k a_k g(|ρ|; b_k + B) g(z; b_k + B), with normalised Gaussians
g(t; b) ∝ exp(−t²/b) and the parts a_k, b_k of its `shapes.Shape`. A slice holds the part between its faces,

    φ_m(u) = Σ_atoms W Σ_k a_k s_mk G(u − ρ; b_k + B),    s_mk = ½ [erf((z_{m+1} − z)/√(b_k + B)) − erf((z_m − z)/√(b_k + B))],

so that φ is smooth in all coordinates, depth included; the outermost slices reach to infinity. Widths are exp(−ρ²/B) in Å², so a
thermal displacement of u (RMS along an axis) adds 2u² (Debye and Waller).

Pixels of the wave hardly resolve an atom's core. It is drawn on pixels half as wide, widened by a common S, which is divided out in
Fourier space as in a non-uniform Fourier transform (Dutt & Rokhlin, SIAM J. Sci. Comput. 14 (1993) 1368, doi:10.1137/0914081):
what is left is band-limited to the circle of frequencies that the wave's pixels hold. Parts so wide that the wave's pixels hold all
of them are drawn there as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import numpy as np

from benchsuite.physics.backend import Array, fft_module, fft_threads, to_host
from benchsuite.physics.gaussians import drawing
from benchsuite.physics.gaussians.atoms import Orbitals, View
from benchsuite.physics.gaussians.shapes import Shape

OVERSAMPLING = 2  # pixels of a drawing along a pixel of the wave
SPREAD = 2.0  # S in squared fine pixels
COARSE_WIDTH_PX2 = (
    6.0  # in squared pixels of the wave: of what is wider, exp(−π² COARSE_WIDTH_PX2/4) is left at the Nyquist frequency
)
CUTOFF_EXPONENT = 12.0  # exp(−CUTOFF_EXPONENT) of a Gaussian is left out in depth


class SlicedPotential:
    """Draws atoms on the slices of a wave's grid of (ny, nx) pixels, whose index N//2 is the axis."""

    def __init__(self, shape: tuple[int, int], pixel_A: float, edges_A: np.ndarray, xp: ModuleType = np, threads: int = 1) -> None:
        self.shape, self.xp, self.threads = shape, xp, threads
        self.lower = np.concatenate([[-np.inf], edges_A[1:-1]])
        self.upper = np.concatenate([edges_A[1:-1], [np.inf]])
        self.fine_shape = (OVERSAMPLING * shape[0], OVERSAMPLING * shape[1])
        self.wave_pixel_A, self.pixel_A = pixel_A, pixel_A / OVERSAMPLING
        self.spread_A2 = SPREAD * self.pixel_A**2
        rows, columns = (np.fft.fftfreq(shape[0], pixel_A), np.fft.rfftfreq(shape[1], pixel_A))
        squared = rows[:, None] ** 2 + columns**2
        inside = squared < (0.5 / pixel_A) ** 2 * (1 - 1e-9)
        widening = np.where(inside, np.exp(np.pi**2 * self.spread_A2 * squared), 0)
        self.widening = xp.asarray(widening.astype(np.float32))
        kept = np.fft.fftfreq(shape[0], 1 / shape[0]).astype(np.int64) % self.fine_shape[0]
        self.kept = xp.asarray(kept)

    def sliced(self, atoms: Orbitals, view: View, shapes: Sequence[Shape], shape_index: np.ndarray | None = None) -> SlicedAtoms:
        """Return the atoms as one view sees them. shape_index: (n,) which of `shapes` each has; None: the first."""
        return SlicedAtoms(self, atoms, view, shapes, np.zeros(len(atoms), np.int64) if shape_index is None else shape_index)

    def phase(self, sliced: SlicedAtoms) -> Array:
        """Return φ (slices, ny, nx) float32 in rad."""
        fft, planes = fft_module(self.xp), (len(self.lower), *self.fine_shape)
        drawn = drawing.splat(planes, *sliced.narrow, *sliced.drawn, threads=self.threads)
        with fft_threads(self.xp):
            spectrum = fft.rfft2(drawn)[:, self.kept, : self.widening.shape[1]] * self.widening
            phase = fft.irfft2(spectrum, s=self.shape) * np.float32(1 / OVERSAMPLING**2)
        phase += drawing.splat(phase.shape, *sliced.wide, *sliced.drawn, threads=self.threads)
        return phase

    def gradient(self, sliced: SlicedAtoms, slope: Array) -> tuple[np.ndarray, np.ndarray]:
        """From ∂L/∂φ (slices, ny, nx) return ∂L/∂(x, y, z, W, B) of every atom (n, 5), and ∂L/∂(drift, turns) of the view (5,)."""
        xp, fft = self.xp, fft_module(self.xp)
        spectrum = xp.zeros((len(self.lower), self.fine_shape[0], self.fine_shape[1] // 2 + 1), np.complex64)
        with fft_threads(xp):
            spectrum[:, self.kept, : self.widening.shape[1]] = fft.rfft2(slope) * self.widening
            planes = fft.irfft2(spectrum, s=self.fine_shape, overwrite_x=True)
        sums, (u, v, _, width) = xp.zeros((sliced.count, 4)), sliced.drawn
        drawing.gather(planes, *sliced.narrow, u, v, width, sums, self.threads)
        drawing.gather(xp.ascontiguousarray(slope), *sliced.wide, u, v, width, sums, self.threads)
        return sliced.derivatives(to_host(sums))


class SlicedAtoms:
    """Every part of every atom in every slice that it reaches: a list of Gaussians, ordered by slice, in host memory."""

    def __init__(
        self, potential: SlicedPotential, atoms: Orbitals, view: View, shapes: Sequence[Shape], shape_index: np.ndarray
    ) -> None:
        self.potential, self.rotation = potential, view.corrected()
        self.turned = self.rotation @ atoms.positions.T
        self.lab = self.turned + np.array([*view.drift, 0.0])[:, None]
        of_shape = [np.flatnonzero(shape_index == number) for number in range(len(shapes))]
        pairs = [(which, part, width) for which, shape in zip(of_shape, shapes, strict=True)
                 for part, width in zip(shape.parts, shape.widths_A2, strict=True)]  # fmt: skip
        atom = np.concatenate([which for which, _, _ in pairs])
        part = np.concatenate([np.full(len(which), share) for which, share, _ in pairs])
        width = np.concatenate([np.full(len(which), wide) for which, _, wide in pairs]) + atoms.width[atom]
        depth, reach = self.lab[2, atom], np.sqrt(CUTOFF_EXPONENT * width)
        inner = potential.upper[:-1]
        first, last = np.searchsorted(inner, depth - reach), np.searchsorted(inner, depth + reach)
        often = last - first + 1
        source = np.repeat(np.arange(len(atom)), often)
        place = np.arange(len(source)) - np.repeat(np.cumsum(often) - often - first, often)
        order = np.argsort(place, kind="stable")
        source, self.place = source[order], place[order]
        self.atom, self.part, self.width = atom[source], part[source], width[source]
        self.count, self.atoms = len(self.atom), len(atoms)
        self._slice(atoms.weight[self.atom])

    def _slice(self, weight: np.ndarray) -> None:
        """Find the parts in the slices with their derivatives, and the Gaussians to draw."""
        from scipy.special import erf

        p, root = self.potential, np.sqrt(self.width)
        above, below = ((faces[self.place] - self.lab[2, self.atom]) / root for faces in (p.upper, p.lower))
        ends = [np.exp(-(t**2)) / np.sqrt(np.pi) for t in (above, below)]
        ends_t = [np.where(np.isfinite(t), t, 0) * end for t, end in zip((above, below), ends, strict=True)]
        self.share = 0.5 * (erf(above) - erf(below))
        self.share_by_z = -(ends[0] - ends[1]) / root
        self.share_by_width = -(ends_t[0] - ends_t[1]) / (2 * self.width)
        wide = self.width > COARSE_WIDTH_PX2 * p.wave_pixel_A**2
        self.pixel_A = np.where(wide, p.wave_pixel_A, p.pixel_A)
        self.drawn_width = self.width + np.where(wide, 0.0, p.spread_A2)
        self.unit = self.part / (np.pi * self.drawn_width)
        self.weight = weight
        (x, y), finer = self.lab[:2, self.atom], np.where(wide, 1, OVERSAMPLING)
        v, u = (at / self.pixel_A + finer * (side // 2) for at, side in zip((y, x), p.shape, strict=True))
        given = (u, v, weight * self.unit * self.share, self.drawn_width / self.pixel_A**2)
        self.drawn: tuple[Array, Array, Array, Array] = tuple(p.xp.asarray(np.ascontiguousarray(one)) for one in given)
        self.narrow, self.wide = (self._placed(np.flatnonzero(which)) for which in (~wide, wide))

    def _placed(self, which: np.ndarray) -> tuple[Array, Array]:
        """Return those Gaussians and their slices on the device."""
        xp = self.potential.xp
        return xp.asarray(which), xp.asarray(self.place[which].astype(np.int32))

    def derivatives(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives of `SlicedPotential.gradient` from what `gather` found."""
        pixel, peak = self.pixel_A, self.weight * self.unit
        lateral = 2 * pixel * (peak * self.share / self.drawn_width) * sums[:, 1:3].T
        along = peak * self.share_by_z * sums[:, 0]
        narrower = self.share * (sums[:, 3] * pixel**2 / self.drawn_width - sums[:, 0]) / self.drawn_width
        rows = (*lateral, along, self.unit * self.share * sums[:, 0], peak * (narrower + self.share_by_width * sums[:, 0]))
        by_atom = np.stack([np.bincount(self.atom, row, self.atoms) for row in rows], axis=1)
        by_lab = by_atom[:, :3].copy()
        by_atom[:, :3] = by_lab @ self.rotation
        turns = np.cross(self.turned.T, by_lab)
        return by_atom, np.concatenate([by_lab[:, :2].sum(axis=0), turns.sum(axis=0)])
