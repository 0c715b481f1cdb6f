"""The multislice forward model of 4D-STEM and its exact gradient, for numpy and cupy.

A wave ψ is multiplied by exp(iφ_m) in slice m, φ the projected phase σ∫V dz, and propagated to the next slice by
exp(−iπλΔz q²) (Cowley & Moodie, Acta Cryst. 10 (1957) 609). The pattern is |Ψ|² with Ψ the Fourier transform of the exit wave.
For a loss L and χ = ∂L/∂ψ*, carried back through the adjoint of every step (Lee et al. 2023, eq. B5),

    ∂L/∂φ_m = 2 Im[conj(ψ_m) χ_m],     ψ_m, χ_m behind the transmission of slice m,

    amplitude   L = Σ (√I_calc − √I)²              ∂L/∂Ψ* = Ψ (1 − √I/√I_calc)
    poisson     L = Σ I_calc − I + (I + ε) ln((I + ε)/(I_calc + ε))   ∂L/∂Ψ* = Ψ (1 − (I + ε)/(I_calc + ε))

A partially coherent probe is a few modes that do not interfere (Thibault & Menzel, Nature 494 (2013) 68, doi:10.1038/nature11806):
I_calc = Σ_m |Ψ_m|² of modes that pass the same slices, and ∂L/∂Ψ_m* has the factor above with the Ψ_m of the mode.

A probe window smaller than the field makes the cost of a probe independent of the field. What the window cuts off must
not be lost: only the scattered wave is computed in the window, and the unscattered wave of the full field is added at the
detector,

    Ψ = Ψ_vacuum(full) + F_pad[ψ_exit(window) − ψ_vacuum(window)],

so that in vacuum the pattern is exact, and with a specimen only scattering of the probe's far tails is missed. F_pad transforms the
window in a field of zeros, which gives the pixels of the full pattern.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import numpy as np

from benchsuite.physics.backend import Array, fft_module, get_array_module, to_host
from benchsuite.physics.fft import fftw
from benchsuite.physics.multislice.engine_array import ArrayEngine
from benchsuite.physics.multislice.engine_numba import CpuEngine

Back = bool | Literal["kinds"]
PROBES_AT_ONCE = 64  # whose full fields are held at once


@dataclass(frozen=True)
class Waves:
    """Entrance waves of a few kinds of probe positions (those that differ by whole pixels are of one kind), mode by mode.

    entrance: (k, modes, window, window) complex64; rest: (k, modes, rows, columns) complex64, what the window does not hold, at the
    detector;
    which: (n,) the kind of each probe; offsets_A: (k, 2) = (y, x) distances of a kind's probes from the centres of their windows.
    """

    entrance: Array
    rest: Array
    which: Array
    offsets_A: np.ndarray


class Multislice:
    """The model for one wave grid.

    full: pixels along one side of the field, whose patterns have pixels of 1/(full · pixel_A); window: pixels of a probe's
    window, at most `full`; detector: (rows, columns) of the recorded pattern, at most `full`. `band_limit` keeps that part of
    the Nyquist frequency, as a fraction, in every propagation (None: all of it). Probes may stand up to
    `margin_A` outside the volume.
    """

    def __init__(
        self,
        wavelength_A: float,
        pixel_A: float,
        slice_A: float,
        slices: int,
        full: int,
        detector: tuple[int, int],
        window: int | None = None,
        band_limit: float | None = None,
        margin_A: float = 0.0,
        xp: ModuleType = np,
        threads: int = 1,
        compiled: bool = True,
    ) -> None:
        self.wavelength_A, self.pixel_A, self.slice_A, self.slices = wavelength_A, pixel_A, slice_A, slices
        self.full, self.window, self.detector, self.band_limit, self.xp = full, window or full, detector, band_limit, xp
        if not 0 < self.window <= full or not all(0 < side <= full for side in detector):
            raise ValueError(f"a window of {self.window} and a detector of {detector} pixels must fit a field of {full} pixels")
        self.propagator = xp.asarray(self._vacuum(self.window, slice_A))
        self.margin = int(np.ceil(margin_A / pixel_A))
        self.pad = self.window // 2 + 1 + self.margin
        use_compiled = compiled and xp is np and fftw.available()
        self.engine: CpuEngine | ArrayEngine = CpuEngine(self, threads) if use_compiled else ArrayEngine(self)

    # ---- grids

    def kept(self, count: int) -> np.ndarray:
        """Return the indices, in the order of the FFT, of the `count` lowest frequencies of the full field."""
        return (np.fft.fftfreq(count, 1 / count).astype(np.int64)) % self.full

    def frequencies(self, side: int) -> np.ndarray:
        """Return the (side,) frequencies in 1/Å of a field of that many pixels, in the order of the FFT."""
        return np.fft.fftfreq(side, self.pixel_A)

    def _vacuum(self, side: int, distance_A: float) -> np.ndarray:
        """The free-space propagator exp(−iπλ d q²), with the band limit."""
        q = self.frequencies(side)
        squared = q[:, None] ** 2 + q**2
        kernel = np.exp(-1j * np.pi * self.wavelength_A * distance_A * squared)
        if self.band_limit is not None:
            kernel *= band_limit(squared, self.pixel_A, self.band_limit)
        return kernel.astype(np.complex64)

    # ---- probes

    def corners(self, positions_A: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Return corners (n, 2) of the windows in the padded transmission, and offsets (n, 2) of the probes from their centres.

        positions_A: (n, 2) as (x, y) about the centre (index N//2) of a volume of `shape` = (ny, nx) pixels; corners and offsets
        are (y, x), offsets in Å within half a pixel. Raises ValueError where a probe is outside the volume.
        """
        pixels = np.asarray(positions_A, dtype=np.float64)[:, ::-1] / self.pixel_A + np.array(shape) // 2
        nearest = np.floor(pixels + 0.5 - 1e-6).astype(np.int64)
        beyond = np.maximum(-nearest, nearest - np.array(shape) + 1).max(axis=1)
        if beyond.max() > self.margin:
            x, y = positions_A[int(np.argmax(beyond))]
            raise ValueError(f"the probe at ({x:.2f}, {y:.2f}) Å is outside the volume of {shape} pixels of {self.pixel_A:g} Å")
        return nearest - self.window // 2 + self.pad, (pixels - nearest) * self.pixel_A

    def waves(self, aperture: Array, offsets_A: np.ndarray) -> Waves:
        """Return the waves of probes that stand `offsets_A` (n, 2) = (y, x) from the centres of their windows.

        aperture: (full, full) complex64, the probe in Fourier space (order of the FFT), Σ|aperture|² the incident intensity;
        or (modes, full, full), probes that do not interfere with one another.
        """
        different, which = kinds(offsets_A)
        modes = aperture.reshape(-1, self.full, self.full)
        xp, shape = self.xp, (len(different), len(modes))
        entrance = xp.empty((*shape, self.window, self.window), np.complex64)
        rest = xp.zeros((*shape, *self.detector), np.complex64)
        for some in batches(len(different)):
            entrance[some], rest[some] = self._waves(modes * self._ramps(different[some])[:, None])
        return Waves(entrance, rest, xp.asarray(which), different)

    def _ramps(self, offsets_A: np.ndarray) -> Array:
        """exp(−2πi q·r) (n, full, full) of probes at offsets from index window//2, in the frame of the window."""
        q, there = self.frequencies(self.full), np.asarray(offsets_A) + self.pixel_A * (self.window // 2)
        down, across = (np.exp(-2j * np.pi * q * there[:, axis, None]) for axis in (0, 1))
        return self.xp.asarray((down[:, :, None] * across[:, None, :]).astype(np.complex64))

    def _waves(self, shifted: Array) -> tuple[Array, Array]:
        """From shifted apertures (n, modes, full, full) to waves in the window and what it does not hold, at the detector."""
        fft, w = fft_module(self.xp), self.window
        entrance = fft.ifft2(shifted, norm="ortho")[..., :w, :w]
        if w == self.full:
            return entrance, self.xp.zeros((*shifted.shape[:-2], *self.detector), np.complex64)
        there = shifted * self._through_vacuum(self.full)
        inside = fft.ifft2(fft.fft2(entrance) * self._through_vacuum(w))
        padded = fft.fft2(inside, s=(self.full, self.full), norm="ortho")
        return entrance, (there - padded)[..., *self._kept()]

    def _kept(self) -> tuple[Array, Array]:
        rows, columns = (self.xp.asarray(self.kept(count)) for count in self.detector)
        return rows[:, None], columns[None, :]

    def _through_vacuum(self, side: int) -> Array:
        return self.xp.asarray(self._vacuum(side, self.slice_A * (self.slices - 1)))

    def back_to_aperture(self, at_entrance: Array, at_detector: Array) -> Array:
        """Return ∂L/∂(shifted aperture)*, (n, modes, full, full): the adjoint of `_waves`."""
        fft, w = fft_module(self.xp), self.window
        result, total = 0, at_entrance
        if w != self.full:
            full_pattern = self.xp.zeros((*at_detector.shape[:-2], self.full, self.full), np.complex64)
            full_pattern[..., *self._kept()] = at_detector
            cut = fft.ifft2(full_pattern, norm="ortho")[..., :w, :w]
            total = total - fft.ifft2(fft.fft2(cut) * self._through_vacuum(w).conj())
            result = full_pattern * self._through_vacuum(self.full).conj()
        return result + fft.fft2(total, s=(self.full, self.full), norm="ortho")

    def aperture_gradient(self, offsets_A: np.ndarray, at_entrance: Array, at_detector: Array) -> Array:
        """Return ∂L/∂aperture* (modes, full, full) complex64.

        `at_entrance` and `at_detector` are those of `gradient(..., back="kinds")`, `offsets_A` those of the kinds.
        """
        total = 0
        for some in batches(len(offsets_A)):
            ramps = self._ramps(offsets_A[some])[:, None]
            total = total + (ramps.conj() * self.back_to_aperture(at_entrance[some], at_detector[some])).sum(axis=0)
        return total

    def refinement_gradients(
        self, aperture: Array, offsets_A: np.ndarray, at_entrance: Array, at_detector: Array
    ) -> tuple[Array, np.ndarray]:
        """Return ∂L/∂aperture*, shaped like it, and ∂L/∂(probe position) (n, 2) = (y, x) per Å.

        `at_entrance` and `at_detector` are those of `gradient(..., back=True)`, `offsets_A` those of the waves.
        """
        total = self.xp.zeros_like(aperture)
        slopes = np.empty((len(offsets_A), 2))
        q = self.xp.asarray(self.frequencies(self.full).astype(np.float32))
        for some in batches(len(offsets_A)):
            ramps = self._ramps(offsets_A[some])[:, None]
            back = ramps.conj() * self.back_to_aperture(at_entrance[some], at_detector[some])
            total += back.sum(axis=0).reshape(aperture.shape)
            turned = 4 * np.pi * (back.conj() * aperture).imag.sum(axis=1)  # d(shifted)/dr = −2πi q · shifted
            slopes[some, 0] = to_host(turned.sum(axis=2) @ q)
            slopes[some, 1] = to_host(turned.sum(axis=1) @ q)
        return total, slopes

    # ---- the model

    def transmission(self, phase: Array) -> Array:
        """Return exp(iφ) of the slices (slices, ny, nx) in rad, with vacuum round them for windows that stand out."""
        xp, (slices, ny, nx) = get_array_module(phase), phase.shape
        wave = xp.ones((slices, ny + 2 * self.pad, nx + 2 * self.pad), np.complex64)
        inside = self.unpadded(wave)
        inside.real, inside.imag = xp.cos(phase), xp.sin(phase)
        return wave

    def padded(self, transmission: Array) -> Array:
        """Return (slices, ny, nx) transmission functions with vacuum round them."""
        around = (self.pad, self.pad)
        return get_array_module(transmission).pad(transmission, ((0, 0), around, around), constant_values=1)

    def intensities(self, transmission: Array, corners: np.ndarray, waves: Waves) -> Array:
        """Return the patterns (n, rows, columns) float32, in the order of the FFT (zero beam first)."""
        return self.engine.intensities(transmission, corners, waves)

    def gradient(
        self,
        transmission: Array,
        corners: np.ndarray,
        waves: Waves,
        measured: Array,
        floor: float | None = None,
        back: Back = False,
        some: np.ndarray | None = None,
    ) -> tuple[Array, Array, tuple[Array, ...] | None]:
        """Return the loss of each probe (n,) float64 and ∂(sum of them)/∂φ (slices, ny, nx) float32 on the padded slices,
        zero in the padding, which must be vacuum.

        measured: (n, rows, columns) float32 in the order of the FFT: amplitudes √I, or, with the `floor` ε of the Poisson loss,
        intensities I. With `some` (n,), the probes are those of that many patterns, which are not copied.
        With `back`, also ∂L/∂ψ* of each probe at the entrance (n, modes, window, window) and ∂L/∂Ψ* at the detector; or, where
        `back` is "kinds", the sums of those over the probes of each kind of the waves (k, …), which is all that an aperture needs
        (and none at the detector where the window is the field).
        """
        return self.engine.gradient(transmission, corners, waves, measured, floor, back, some)

    def unpadded(self, gradient: Array) -> Array:
        """Return the part of a gradient that belongs to the volume."""
        return gradient[:, self.pad : -self.pad, self.pad : -self.pad]


def kinds(offsets_A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different ones among offsets (n, 2), and which of them each is (n,)."""
    keys = np.round(offsets_A, 6)
    if (keys == keys[0]).all():  # the usual case where the scan step is a number of pixels; sorting rows is slow
        return keys[:1], np.zeros(len(keys), np.int64)
    different, which = np.unique(keys, axis=0, return_inverse=True)
    return different, which.reshape(-1)


def batches(count: int) -> list[slice]:
    """Return places of probes whose full fields are held at once."""
    return [slice(first, min(first + PROBES_AT_ONCE, count)) for first in range(0, count, PROBES_AT_ONCE)]


def band_limit(squared: np.ndarray, pixel_A: float, fraction: float, taper: float = 0.01) -> np.ndarray:
    """Return a mask of frequencies (given as q²) below `fraction` of Nyquist, with a cosine edge `taper`/pixel wide inside it."""
    radius, edge, soft = np.sqrt(squared), fraction / (2 * pixel_A), taper / pixel_A
    inside = 0.5 * (1 + np.cos(np.pi * np.clip((radius - edge + soft) / soft, 0, 1)))
    return np.where(radius > edge, 0.0, inside)
