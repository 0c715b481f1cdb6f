"""The multislice kernel in terms of whole arrays: for cupy, and for numpy where FFTW cannot be reached. Batches of probes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchsuite.physics.backend import Array, fft_module, get_array_module

if TYPE_CHECKING:
    from benchsuite.physics.multislice.model import Back, Multislice, Waves

BATCH_BYTES = {True: 1 << 22, False: 1 << 30}  # waves of one batch: a cache on the CPU, a share of memory on a GPU


class ArrayEngine:
    """Runs a `Multislice` with array operations. The same methods as `CpuEngine`."""

    def __init__(self, kernel: Multislice) -> None:
        self.kernel, self.xp = kernel, kernel.xp
        self.fft = fft_module(self.xp)
        wave = 8 * kernel.window**2 * (kernel.slices + 2) + 16 * kernel.full**2
        self.batch = max(1, BATCH_BYTES[self.xp is np] // wave)
        self.rows, self.columns = (self.xp.asarray(kernel.kept(count)) for count in kernel.detector)

    def intensities(self, transmission: Array, corners: np.ndarray, waves: Waves) -> Array:
        result = self.xp.empty((len(corners), *self.kernel.detector), np.float32)
        for some in self._batches(len(corners), waves.entrance.shape[1]):
            states = self._through(transmission, corners[some], waves, waves.which[some])
            wave = self._to_detector(states[-1]) + waves.rest[waves.which[some]]
            result[some] = (wave.real**2 + wave.imag**2).sum(axis=1)
        return result

    def gradient(
        self,
        transmission: Array,
        corners: np.ndarray,
        waves: Waves,
        measured: Array,
        floor: float | None,
        back: Back,
        chosen: np.ndarray | None,
    ) -> tuple[Array, Array, tuple[Array, Array] | None]:
        xp, k = self.xp, self.kernel
        measured = measured if chosen is None else measured[xp.asarray(chosen)]
        losses = xp.empty(len(corners), np.float64)
        total = xp.zeros(transmission.shape, np.float32)
        shape = (len(corners) if back else 0, waves.entrance.shape[1])
        at_entrance = xp.empty((*shape, k.window, k.window), np.complex64)
        at_detector = xp.empty((*shape, *k.detector), np.complex64)
        for some in self._batches(len(corners), waves.entrance.shape[1]):
            states = self._through(transmission, corners[some], waves, waves.which[some])
            wave = self._to_detector(states[-1]) + waves.rest[waves.which[some]]
            losses[some], wave = self._residual(wave, measured[some], floor)
            chi = self._from_detector(wave)
            parts = xp.empty((k.slices, len(chi), k.window, k.window), np.float32)
            for m in range(k.slices - 1, -1, -1):
                parts[m] = 2 * (states[m].real * chi.imag - states[m].imag * chi.real).sum(axis=1)
                chi *= self._windows(transmission[m], corners[some]).conj()
                if m:
                    chi = self.fft.ifft2(self.fft.fft2(chi) * k.propagator.conj())
            for number, (y, x) in enumerate(corners[some]):  # one after the other: equal bits in every run
                total[:, y : y + k.window, x : x + k.window] += parts[:, number]
            if back:
                at_entrance[some], at_detector[some] = chi, wave
        inside = k.unpadded(total).copy()
        total[...] = 0
        k.unpadded(total)[...] = inside
        if back == "kinds":
            at_entrance, at_detector = (summed(ends, waves) for ends in (at_entrance, at_detector))
        return losses, total, (at_entrance, at_detector) if back else None

    def _batches(self, probes: int, modes: int) -> list[slice]:
        batch = max(1, self.batch // modes)
        return [slice(first, min(first + batch, probes)) for first in range(0, probes, batch)]

    def _windows(self, plane: Array, corners: np.ndarray) -> Array:
        """What probes see of a plane, (n, 1, window, window): the same in all modes."""
        along = self.xp.arange(self.kernel.window)
        y, x = (self.xp.asarray(corners[:, axis]) for axis in (0, 1))
        return plane[y[:, None, None] + along[:, None], x[:, None, None] + along][:, None]

    def _through(self, transmission: Array, corners: np.ndarray, waves: Waves, which: Array) -> list[Array]:
        wave, states = waves.entrance[which], list[Array]()
        for m in range(self.kernel.slices):
            states.append(wave * self._windows(transmission[m], corners))
            if m < self.kernel.slices - 1:
                wave = self.fft.ifft2(self.fft.fft2(states[-1]) * self.kernel.propagator)
        return states

    def _to_detector(self, exit_wave: Array) -> Array:
        full = self.kernel.full
        along = self.fft.fft(exit_wave, n=full, axis=-1, norm="ortho")[..., self.columns]
        return self.fft.fft(along, n=full, axis=-2, norm="ortho")[..., self.rows, :]

    def _from_detector(self, wave: Array) -> Array:
        full, window = self.kernel.full, self.kernel.window
        columns = self.xp.zeros((*wave.shape[:-2], full, wave.shape[-1]), np.complex64)
        columns[..., self.rows, :] = wave
        rows = self.xp.zeros((*wave.shape[:-2], window, full), np.complex64)
        rows[..., self.columns] = self.fft.ifft(columns, axis=-2, norm="ortho")[..., :window, :]
        return self.fft.ifft(rows, axis=-1, norm="ortho")[..., :window]

    def _residual(self, wave: Array, measured: Array, floor: float | None) -> tuple[Array, Array]:
        """Return the losses (n,) and ∂L/∂Ψ* (n, modes, rows, columns): modes add up in the pattern, and share a factor."""
        xp = self.xp
        intensity = (wave.real**2 + wave.imag**2).sum(axis=1) + np.float32(1e-20)
        if floor is not None:
            expected, found = intensity + np.float32(floor), measured + np.float32(floor)
            losses = expected - found + found * xp.log(xp.where(found > 0, found / expected, 1))
            return losses.sum(axis=(1, 2), dtype=np.float64), wave * (1 - found / expected)[:, None]
        amplitude = xp.sqrt(intensity)
        difference = amplitude - measured
        return (difference**2).sum(axis=(1, 2), dtype=np.float64), wave * (difference / amplitude)[:, None]


def summed(ends: Array, waves: Waves) -> Array:
    """Return the sums (k, …) over the probes (n, …) of each kind."""
    xp = get_array_module(ends)
    result = xp.zeros((len(waves.entrance), *ends.shape[1:]), ends.dtype)
    for kind in range(len(result)):
        result[kind] = ends[waves.which == kind].sum(axis=0)
    return result
