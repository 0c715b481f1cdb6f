"""The multislice kernel on CPU cores: one compiled call per group of probes, transforms by FFTW, without the interpreter lock.

A probe is carried through all slices and back before the next one begins, so that its waves stay in the cache. Probes are
divided into pieces that depend on their number only; each piece adds up its own gradient: results are equal bit for bit
whatever the number of threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchsuite.physics.compiled import compiled, run_pieces
from benchsuite.physics.fft import fftw
from benchsuite.physics.fft.fftw import execute
from benchsuite.physics.multislice.far_field import (
    BACKWARD,
    EXECUTOR,
    FORWARD,
    OUT_OF_STATE,
    Buffers,
    Tables,
    from_detector,
    residual,
    to_detector,
)
from benchsuite.physics.multislice.noise_model import NoiseModel
from benchsuite.physics.multislice.simd import BYTES, add, add_intensity, back_through, multiply, multiply_conj
from benchsuite.physics.multislice.waves import Ends, WaveGrid, Waves

PIECES = 8


class CpuEngine:
    """Runs a `Multislice` on the CPU."""

    def __init__(self, grid: WaveGrid, threads: int) -> None:
        self.grid, self.threads = grid, threads
        window, field, (rows, columns) = grid.window_px, grid.field_px, grid.detector
        plans = [fftw.executor()]
        plans += [fftw.plan_2d(window, direction, in_place=False) for direction in (fftw.FORWARD, fftw.BACKWARD)]
        plans += [fftw.plan_2d(window, direction) for direction in (fftw.FORWARD, fftw.BACKWARD)]
        for direction in (fftw.FORWARD, fftw.BACKWARD):
            plans += [fftw.plan_rows(window, field, direction), fftw.plan_columns(field, columns, direction)]
        propagator = fftw.aligned((window, window))
        propagator[...] = grid.fresnel_propagator(window, grid.slice_A) / window**2  # FFTW leaves its inverse unscaled
        lines = (grid.detector_frequencies(count) for count in (rows, columns))
        self.tables = Tables(np.array(plans, dtype=np.int64), propagator, *lines)
        self.whole = grid.detector == (window, window) == (field, field)
        self.sums = np.empty(0, np.float32)
        self.buffers: dict[tuple[int, int], Buffers] = {}

    def intensities(self, transmission: np.ndarray, origins: np.ndarray, waves: Waves) -> np.ndarray:
        result = np.empty((len(origins), *self.grid.detector), np.float32)
        probes = _probes(origins, waves)

        def piece(number: int, part: slice) -> None:
            buffers = self._buffers(number, probes.entrance.shape[1])
            buffers = buffers._replace(states=buffers.states[:, :1])  # one state, written over: it stays in the cache
            _diffract(self.tables, buffers, transmission, probes.part(part), result[part])

        self._run(piece, len(origins), probes.entrance.shape[1])
        return result

    def gradient(
        self,
        transmission: np.ndarray,
        origins: np.ndarray,
        waves: Waves,
        measured: np.ndarray,
        noise: NoiseModel,
        ends: Ends,
        pattern_index: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...] | None]:
        probes, pieces = _probes(origins, waves), self._pieces(len(origins))
        shifts, modes = probes.entrance.shape[:2]
        gradient = np.zeros(transmission.shape, np.float32)
        gradients = self._gradients((len(pieces), *self.grid.unpadded(gradient).shape))
        index = np.arange(len(origins)) if pattern_index is None else pattern_index
        patterns = Patterns(measured, index, np.float32(noise.floor))
        losses = np.empty(len(origins), np.float64)
        by_piece = ends == "summed" and shifts * len(pieces) <= len(origins)  # each piece adds up its own
        count = 0 if ends == "none" else len(pieces) * shifts if by_piece else len(origins)
        shapes = ((self.grid.window_px, self.grid.window_px), self.grid.detector)
        counts = (count, 0 if by_piece and self.whole else count)
        found = tuple(np.zeros((n, modes, *shape), np.complex64) for n, shape in zip(counts, shapes, strict=True))

        def piece(number: int, part: slice) -> None:
            place = probes.shift_index[part] + number * shifts if by_piece else np.arange(part.start, part.stop)
            sums = Sums(losses[part], gradients[number], found[0], found[1], place)
            chosen = patterns._replace(pattern_index=patterns.pattern_index[part])
            _differentiate(self.tables, self._buffers(number, modes), transmission, probes.part(part), chosen, sums)

        self._run(piece, len(origins), modes)
        if by_piece:
            found = tuple(end.reshape(-1, shifts, *end.shape[1:]).sum(axis=0) for end in found)
        elif ends == "summed":
            found = tuple(waves.summed(end) for end in found)
        gradients.sum(axis=0, out=self.grid.unpadded(gradient))
        return losses, gradient, found if ends != "none" else None

    def _gradients(self, shape: tuple[int, ...]) -> np.ndarray:
        """Zeros, kept from call to call: fresh memory costs as much as the transforms of a few probes."""
        if self.sums.shape != shape:
            self.sums = np.empty(shape, np.float32)
        self.sums[...] = 0
        return self.sums

    def _pieces(self, probes: int) -> list[slice]:
        return [slice(int(a), int(b)) for a, b in itertools.pairwise(np.linspace(0, probes, min(PIECES, probes) + 1))]

    def _run(self, piece: Callable[[int, slice], None], probes: int, modes: int) -> None:
        jobs = list(enumerate(self._pieces(probes)))
        for number, _ in jobs:
            self._buffers(number, modes)  # made here, by one thread
        run_pieces(lambda job: piece(*job), jobs, self.threads)

    def _buffers(self, number: int, modes: int) -> Buffers:
        if (number, modes) not in self.buffers:
            g = self.grid
            stride = -(-(g.window_px**2) // 8) * 8  # each slice begins at an aligned address
            self.buffers[number, modes] = Buffers(
                fftw.aligned((modes, g.slices, stride)),
                fftw.aligned((g.window_px, g.window_px)),
                fftw.aligned((0 if self.whole else g.window_px, g.field_px)),
                fftw.aligned((modes, -(-g.field_px * g.detector[1] // 8) * 8)),
            )
        return self.buffers[number, modes]


def _probes(origins: np.ndarray, waves: Waves) -> Probes:
    arrays = (waves.entrance, waves.unwindowed_far_field, waves.shift_index)
    return Probes(origins, *(np.ascontiguousarray(array) for array in arrays))


class Probes(NamedTuple):
    """Origins of windows (n, 2), entrance waves and unwindowed far fields (k, modes, …), and which of the k each probe has (n,)."""

    origins: np.ndarray
    entrance: np.ndarray
    unwindowed: np.ndarray
    shift_index: np.ndarray

    def part(self, probes: slice) -> Probes:
        """Return some of the probes; waves are shared."""
        return self._replace(origins=self.origins[probes], shift_index=self.shift_index[probes])


class Patterns(NamedTuple):
    """Measured patterns, the index (n,) of each probe's among them, and the floor of the Poisson loss (negative: amplitudes)."""

    measured: np.ndarray
    pattern_index: np.ndarray
    floor: np.float32


class Sums(NamedTuple):
    """Losses (n,); the gradient of the slices; gradients at entrance and detector, and the place (n,) of each probe's there."""

    losses: np.ndarray
    gradient: np.ndarray
    at_entrance: np.ndarray
    at_detector: np.ndarray
    place: np.ndarray


@compiled
def _through(
    tables: Tables, states: np.ndarray, buffer: np.ndarray, entrance: np.ndarray, transmission: np.ndarray, y: int, x: int
) -> None:
    """Carry the entrance wave through all slices; `buffer` is overwritten.

    `states[m]` becomes the wave behind the transmission of slice m; a single state is written over and ends as the exit wave.
    """
    plans, window, slices, row = tables.plans, len(buffer), len(transmission), transmission.shape[2]
    wave, kernel = entrance.ctypes.data, tables.propagator.ctypes.data
    for m in range(slices):
        state = states[m % len(states)].ctypes.data
        below = transmission[m].ctypes.data + BYTES * (y * row + x)
        for i in range(window):
            multiply(state + BYTES * i * window, wave + BYTES * i * window, below + BYTES * i * row, window)
        if m < slices - 1:
            wave = buffer.ctypes.data
            execute(plans[EXECUTOR], plans[OUT_OF_STATE], state, wave)
            multiply(wave, wave, kernel, window * window)
            execute(plans[EXECUTOR], plans[BACKWARD], wave, wave)


@compiled
def _diffract(tables: Tables, buffers: Buffers, transmission: np.ndarray, probes: Probes, result: np.ndarray) -> None:
    rows, patterns = buffers.rows, buffers.patterns
    field, count = rows.shape[1], len(tables.columns)
    scale, size = np.float32(1.0 / field), len(tables.rows) * count
    for p in range(len(probes.origins)):
        result[p] = 0
        shift, (y, x) = probes.shift_index[p], probes.origins[p]
        total, unwindowed = result[p].ctypes.data, probes.unwindowed[shift].ctypes.data
        for o in range(len(patterns)):
            pattern, states = patterns[o, : field * count].reshape((field, count)), buffers.states[o]
            _through(tables, states, buffers.wave, probes.entrance[shift, o], transmission, y, x)
            to_detector(tables, states[-1], rows, pattern)
            for i in range(len(tables.rows)):
                row = pattern.ctypes.data + BYTES * tables.rows[i] * count
                add_intensity(total + BYTES // 2 * i * count, row, unwindowed + BYTES * (o * size + i * count), scale, count)


@compiled
def _differentiate(
    tables: Tables, buffers: Buffers, transmission: np.ndarray, probes: Probes, measured: Patterns, sums: Sums
) -> None:
    nothing, wave, rows, patterns = np.empty((0, 0, 0), np.complex64), buffers.wave, buffers.rows, buffers.patterns
    window, field, count = len(wave), rows.shape[1], len(tables.columns)
    lines = np.empty((5, count), np.float32)
    bits = lines[2].view(np.int32)
    for p in range(len(probes.origins)):
        shift, (y, x) = probes.shift_index[p], probes.origins[p]
        for o in range(len(patterns)):
            pattern, states = patterns[o, : field * count].reshape((field, count)), buffers.states[o]
            _through(tables, states, wave, probes.entrance[shift, o], transmission, y, x)
            to_detector(tables, states[-1], rows, pattern)
        ends = sums.at_detector[sums.place[p]] if len(sums.at_detector) else nothing
        target = measured.measured[measured.pattern_index[p]]
        sums.losses[p] = residual(patterns, field, tables.rows, probes.unwindowed[shift], target, measured.floor, lines, bits, ends)
        for o in range(len(patterns)):
            pattern = patterns[o, : field * count].reshape((field, count))
            from_detector(tables, wave, rows, pattern)
            _back_through(tables, buffers.states[o], wave, transmission, y, x, sums.gradient)
            if len(sums.at_entrance):
                add(sums.at_entrance[sums.place[p], o].ctypes.data, wave.ctypes.data, window * window)


@compiled
def _back_through(
    tables: Tables, states: np.ndarray, chi: np.ndarray, transmission: np.ndarray, y: int, x: int, gradient: np.ndarray
) -> None:
    """Carry `chi`, ∂L/∂ψ* behind the last slice, back to the entrance, and add up the gradients of the slices.

    Only inside the volume: round it is vacuum, which leaves the wave as it is.
    """
    plans, window, slices, row, (ny, nx) = tables.plans, len(chi), len(transmission), transmission.shape[2], gradient.shape[1:]
    pad, wave, kernel = (row - nx) // 2, chi.ctypes.data, tables.propagator.ctypes.data
    top, left = max(y, pad), max(x, pad)
    bottom, count = min(y + window, pad + ny), min(x + window, pad + nx) - left
    for m in range(slices - 1, -1, -1):
        state = states[m].ctypes.data
        below = transmission[m].ctypes.data
        total = gradient[m].ctypes.data
        for i in range(top, bottom):
            line, pixel = BYTES * ((i - y) * window + left - x), BYTES // 2 * ((i - pad) * nx + left - pad)
            back_through(total + pixel, state + line, wave + line, below + BYTES * (i * row + left), count)
        if m > 0:
            execute(plans[EXECUTOR], plans[FORWARD], wave, wave)
            multiply_conj(wave, wave, kernel, window * window)
            execute(plans[EXECUTOR], plans[BACKWARD], wave, wave)
