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

from types import ModuleType
from typing import Protocol

import numpy as np

from benchsuite.physics.backend import Array, fft_module, get_array_module, to_host
from benchsuite.physics.fft import fftw
from benchsuite.physics.multislice.engine_array import ArrayEngine
from benchsuite.physics.multislice.engine_numba import CpuEngine
from benchsuite.physics.multislice.noise_model import AMPLITUDE, NoiseModel
from benchsuite.physics.multislice.waves import Ends, WaveGrid, Waves, unique_subpixel_shifts

FIELDS_AT_ONCE = 64  # probes whose full fields are held at once


class Engine(Protocol):
    """What carries waves through the slices; arguments and results as those of `Multislice`."""

    def intensities(self, transmission: Array, origins: np.ndarray, waves: Waves) -> Array: ...

    def gradient(
        self,
        transmission: Array,
        origins: np.ndarray,
        waves: Waves,
        measured: Array,
        noise: NoiseModel,
        ends: Ends,
        pattern_index: np.ndarray | None,
    ) -> tuple[Array, Array, tuple[Array, ...] | None]: ...


class Multislice:
    """The model on one grid of waves, in numpy or cupy. `compiled` loops of the CPU are used where they can be."""

    def __init__(self, grid: WaveGrid, xp: ModuleType = np, threads: int = 1, compiled: bool = True) -> None:
        self.grid, self.xp = grid, xp
        use_compiled = compiled and xp is np and fftw.available()
        self.engine: Engine = CpuEngine(grid, threads) if use_compiled else ArrayEngine(grid, xp)

    # ---- probes

    def waves(self, aperture: Array, shifts_A: np.ndarray) -> Waves:
        """Return the waves of probes that stand `shifts_A` (n, 2) = (y, x) from the centres of their windows.

        aperture: (field, field) complex64, the probe in Fourier space (order of the FFT), Σ|aperture|² the incident intensity;
        or (modes, field, field), probes that do not interfere with one another.
        """
        grid, xp = self.grid, self.xp
        shifts, index = unique_subpixel_shifts(shifts_A)
        modes = aperture.reshape(-1, grid.field_px, grid.field_px)
        shape = (len(shifts), len(modes))
        entrance = xp.empty((*shape, grid.window_px, grid.window_px), np.complex64)
        unwindowed = xp.zeros((*shape, *grid.detector), np.complex64)
        for batch in batches(len(shifts)):
            entrance[batch], unwindowed[batch] = self._waves(modes * self._ramps(shifts[batch])[:, None])
        return Waves(entrance, unwindowed, xp.asarray(index), shifts)

    def _ramps(self, shifts_A: np.ndarray) -> Array:
        """exp(−2πi q·r) (n, field, field) of probes shifted from index window//2, in the frame of the window."""
        grid = self.grid
        q, position = grid.frequencies(grid.field_px), np.asarray(shifts_A) + grid.pixel_A * (grid.window_px // 2)
        down, across = (np.exp(-2j * np.pi * q * position[:, axis, None]) for axis in (0, 1))
        return self.xp.asarray((down[:, :, None] * across[:, None, :]).astype(np.complex64))

    def _waves(self, shifted: Array) -> tuple[Array, Array]:
        """From shifted apertures (n, modes, field, field) to waves in the window and what it does not hold, at the detector."""
        fft, w, field = fft_module(self.xp), self.grid.window_px, self.grid.field_px
        entrance = fft.ifft2(shifted, norm="ortho")[..., :w, :w]
        if w == field:
            return entrance, self.xp.zeros((*shifted.shape[:-2], *self.grid.detector), np.complex64)
        whole = shifted * self._through_vacuum(field)
        inside = fft.ifft2(fft.fft2(entrance) * self._through_vacuum(w))
        padded = fft.fft2(inside, s=(field, field), norm="ortho")
        return entrance, (whole - padded)[..., *self._detected()]

    def _detected(self) -> tuple[Array, Array]:
        rows, columns = (self.xp.asarray(self.grid.detector_frequencies(count)) for count in self.grid.detector)
        return rows[:, None], columns[None, :]

    def _through_vacuum(self, side: int) -> Array:
        return self.xp.asarray(self.grid.fresnel_propagator(side, self.grid.slice_A * (self.grid.slices - 1)))

    def back_to_aperture(self, at_entrance: Array, at_detector: Array) -> Array:
        """Return ∂L/∂(shifted aperture)*, (n, modes, field, field): the adjoint of `_waves`."""
        fft, w, field = fft_module(self.xp), self.grid.window_px, self.grid.field_px
        result, total = 0, at_entrance
        if w != field:
            full_pattern = self.xp.zeros((*at_detector.shape[:-2], field, field), np.complex64)
            full_pattern[..., *self._detected()] = at_detector
            cut = fft.ifft2(full_pattern, norm="ortho")[..., :w, :w]
            total = total - fft.ifft2(fft.fft2(cut) * self._through_vacuum(w).conj())
            result = full_pattern * self._through_vacuum(field).conj()
        return result + fft.fft2(total, s=(field, field), norm="ortho")

    def aperture_gradient(self, shifts_A: np.ndarray, at_entrance: Array, at_detector: Array) -> Array:
        """Return ∂L/∂aperture* (modes, field, field) complex64.

        `at_entrance` and `at_detector` are those of `gradient(..., ends="summed")`, `shifts_A` those of the waves.
        """
        total = self.xp.zeros((at_entrance.shape[1], self.grid.field_px, self.grid.field_px), np.complex64)
        for batch in batches(len(shifts_A)):
            ramps = self._ramps(shifts_A[batch])[:, None]
            total += (ramps.conj() * self.back_to_aperture(at_entrance[batch], at_detector[batch])).sum(axis=0)
        return total

    def refinement_gradients(
        self, aperture: Array, shifts_A: np.ndarray, at_entrance: Array, at_detector: Array
    ) -> tuple[Array, np.ndarray]:
        """Return ∂L/∂aperture*, shaped like it, and ∂L/∂(probe position) (n, 2) = (y, x) per Å.

        `at_entrance` and `at_detector` are those of `gradient(..., ends="per_probe")`, `shifts_A` (n, 2) those of the probes.
        """
        total = self.xp.zeros_like(aperture)
        slopes = np.empty((len(shifts_A), 2))
        q = self.xp.asarray(self.grid.frequencies(self.grid.field_px).astype(np.float32))
        for batch in batches(len(shifts_A)):
            ramps = self._ramps(shifts_A[batch])[:, None]
            back = ramps.conj() * self.back_to_aperture(at_entrance[batch], at_detector[batch])
            total += back.sum(axis=0).reshape(aperture.shape)
            turned = 4 * np.pi * (back.conj() * aperture).imag.sum(axis=1)  # d(shifted)/dr = −2πi q · shifted
            slopes[batch, 0] = to_host(turned.sum(axis=2) @ q)
            slopes[batch, 1] = to_host(turned.sum(axis=1) @ q)
        return total, slopes

    # ---- the model

    def transmission(self, phase: Array) -> Array:
        """Return exp(iφ) of the slices (slices, ny, nx) in rad, with vacuum round them for windows that stand out."""
        xp, (slices, ny, nx) = get_array_module(phase), phase.shape
        wave = xp.ones((slices, ny + 2 * self.grid.pad_px, nx + 2 * self.grid.pad_px), np.complex64)
        inside = self.grid.unpadded(wave)
        inside.real, inside.imag = xp.cos(phase), xp.sin(phase)
        return wave

    def padded(self, transmission: Array) -> Array:
        """Return (slices, ny, nx) transmission functions with vacuum round them."""
        around = (self.grid.pad_px, self.grid.pad_px)
        return get_array_module(transmission).pad(transmission, ((0, 0), around, around), constant_values=1)

    def intensities(self, transmission: Array, origins: np.ndarray, waves: Waves) -> Array:
        """Return the patterns (n, rows, columns) float32, in the order of the FFT (zero beam first)."""
        return self.engine.intensities(transmission, origins, waves)

    def gradient(
        self,
        transmission: Array,
        origins: np.ndarray,
        waves: Waves,
        measured: Array,
        noise: NoiseModel = AMPLITUDE,
        ends: Ends = "none",
        pattern_index: np.ndarray | None = None,
    ) -> tuple[Array, Array, tuple[Array, ...] | None]:
        """Return the loss of each probe (n,) float64 and ∂(sum of them)/∂φ (slices, ny, nx) float32 on the padded slices,
        zero in the padding, which must be vacuum.

        measured: (n, rows, columns) float32 in the order of the FFT: amplitudes √I, or intensities I where the noise model takes
        those. With `pattern_index` (n,), the patterns of the probes are those, which are not copied.
        ends "per_probe": also ∂L/∂ψ* of each probe at the entrance (n, modes, window, window) and ∂L/∂Ψ* at the detector; "summed":
        the sums of those over the probes of equal shift (k, …), which is all that an aperture needs (and none at the detector
        where the window is the field).
        """
        return self.engine.gradient(transmission, origins, waves, measured, noise, ends, pattern_index)


def batches(count: int) -> list[slice]:
    """Return slices of probes whose full fields are held at once."""
    return [slice(first, min(first + FIELDS_AT_ONCE, count)) for first in range(0, count, FIELDS_AT_ONCE)]
