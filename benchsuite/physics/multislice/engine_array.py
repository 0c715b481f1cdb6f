"""The multislice kernel in terms of whole arrays: for cupy, and for numpy where FFTW cannot be reached. Batches of probes."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from benchsuite.physics.backend import Array, fft_module
from benchsuite.physics.multislice.noise_model import NoiseModel
from benchsuite.physics.multislice.waves import Ends, WaveGrid, Waves

BATCH_BYTES = {True: 1 << 22, False: 1 << 30}  # waves of one batch: a cache on the CPU, a share of memory on a GPU


class ArrayEngine:
    """Runs a `Multislice` with array operations."""

    def __init__(self, grid: WaveGrid, xp: ModuleType) -> None:
        self.grid, self.xp, self.fft = grid, xp, fft_module(xp)
        wave = 8 * grid.window_px**2 * (grid.slices + 2) + 16 * grid.field_px**2
        self.batch = max(1, BATCH_BYTES[xp is np] // wave)
        self.rows, self.columns = (xp.asarray(grid.detector_frequencies(count)) for count in grid.detector)
        self.propagator = xp.asarray(grid.fresnel_propagator(grid.window_px, grid.slice_A))

    def intensities(self, transmission: Array, origins: np.ndarray, waves: Waves) -> Array:
        result = self.xp.empty((len(origins), *self.grid.detector), np.float32)
        for batch in self._batches(len(origins), waves.entrance.shape[1]):
            states = self._through(transmission, origins[batch], waves, waves.shift_index[batch])
            wave = self._to_detector(states[-1]) + waves.unwindowed_far_field[waves.shift_index[batch]]
            result[batch] = (wave.real**2 + wave.imag**2).sum(axis=1)
        return result

    def gradient(
        self,
        transmission: Array,
        origins: np.ndarray,
        waves: Waves,
        measured: Array,
        noise: NoiseModel,
        ends: Ends,
        pattern_index: np.ndarray | None,
    ) -> tuple[Array, Array, tuple[Array, Array] | None]:
        xp, grid = self.xp, self.grid
        measured = measured if pattern_index is None else measured[xp.asarray(pattern_index)]
        losses = xp.empty(len(origins), np.float64)
        total = xp.zeros(transmission.shape, np.float32)
        shape = (len(origins) if ends != "none" else 0, waves.entrance.shape[1])
        at_entrance = xp.empty((*shape, grid.window_px, grid.window_px), np.complex64)
        at_detector = xp.empty((*shape, *grid.detector), np.complex64)
        for batch in self._batches(len(origins), waves.entrance.shape[1]):
            states = self._through(transmission, origins[batch], waves, waves.shift_index[batch])
            wave = self._to_detector(states[-1]) + waves.unwindowed_far_field[waves.shift_index[batch]]
            losses[batch], wave = self._residual(wave, measured[batch], noise)
            chi = self._from_detector(wave)
            parts = xp.empty((grid.slices, len(chi), grid.window_px, grid.window_px), np.float32)
            for m in range(grid.slices - 1, -1, -1):
                parts[m] = 2 * (states[m].real * chi.imag - states[m].imag * chi.real).sum(axis=1)
                chi *= self._windows(transmission[m], origins[batch]).conj()
                if m:
                    chi = self.fft.ifft2(self.fft.fft2(chi) * self.propagator.conj())
            for number, (y, x) in enumerate(origins[batch]):  # one after the other: equal bits in every run
                total[:, y : y + grid.window_px, x : x + grid.window_px] += parts[:, number]
            if ends != "none":
                at_entrance[batch], at_detector[batch] = chi, wave
        inside = grid.unpadded(total).copy()
        total[...] = 0
        grid.unpadded(total)[...] = inside
        if ends == "summed":
            at_entrance, at_detector = waves.summed(at_entrance), waves.summed(at_detector)
        return losses, total, (at_entrance, at_detector) if ends != "none" else None

    def _batches(self, probes: int, modes: int) -> list[slice]:
        batch = max(1, self.batch // modes)
        return [slice(first, min(first + batch, probes)) for first in range(0, probes, batch)]

    def _windows(self, plane: Array, origins: np.ndarray) -> Array:
        """What probes see of a plane, (n, 1, window, window): the same in all modes."""
        along = self.xp.arange(self.grid.window_px)
        y, x = (self.xp.asarray(origins[:, axis]) for axis in (0, 1))
        return plane[y[:, None, None] + along[:, None], x[:, None, None] + along][:, None]

    def _through(self, transmission: Array, origins: np.ndarray, waves: Waves, shift_index: Array) -> list[Array]:
        wave, states = waves.entrance[shift_index], list[Array]()
        for m in range(self.grid.slices):
            states.append(wave * self._windows(transmission[m], origins))
            if m < self.grid.slices - 1:
                wave = self.fft.ifft2(self.fft.fft2(states[-1]) * self.propagator)
        return states

    def _to_detector(self, exit_wave: Array) -> Array:
        field = self.grid.field_px
        along = self.fft.fft(exit_wave, n=field, axis=-1, norm="ortho")[..., self.columns]
        return self.fft.fft(along, n=field, axis=-2, norm="ortho")[..., self.rows, :]

    def _from_detector(self, wave: Array) -> Array:
        field, window = self.grid.field_px, self.grid.window_px
        columns = self.xp.zeros((*wave.shape[:-2], field, wave.shape[-1]), np.complex64)
        columns[..., self.rows, :] = wave
        rows = self.xp.zeros((*wave.shape[:-2], window, field), np.complex64)
        rows[..., self.columns] = self.fft.ifft(columns, axis=-2, norm="ortho")[..., :window, :]
        return self.fft.ifft(rows, axis=-1, norm="ortho")[..., :window]

    def _residual(self, wave: Array, measured: Array, noise: NoiseModel) -> tuple[Array, Array]:
        """Return the losses (n,) and ∂L/∂Ψ* (n, modes, rows, columns): modes add up in the pattern, and share a factor."""
        intensity = (wave.real**2 + wave.imag**2).sum(axis=1) + np.float32(1e-20)
        losses, factor = noise.residual(intensity, measured)
        return losses.sum(axis=(1, 2), dtype=np.float64), wave * factor[:, None]
