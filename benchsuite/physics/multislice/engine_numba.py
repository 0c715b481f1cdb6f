"""The multislice kernel on CPU cores: one compiled call per group of probes, transforms by FFTW, without the interpreter lock.

A probe is carried through all slices and back before the next one begins, so that its waves stay in the cache. Probes are
divided into pieces that depend on their number only; each piece adds up its own gradient: results are equal bit for bit
whatever the number of threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from benchsuite.physics.compiled import compiled, run_pieces
from benchsuite.physics.fft import fftw
from benchsuite.physics.fft.fftw import execute
from benchsuite.physics.multislice.engine_array import summed
from benchsuite.physics.multislice.far_field import BACKWARD, EXECUTOR, FORWARD, OUT_OF_STATE, from_detector, residual, to_detector
from benchsuite.physics.multislice.simd import BYTES, add, add_intensity, back_through, multiply, multiply_conj

if TYPE_CHECKING:
    from benchsuite.physics.multislice.model import Back, Multislice, Waves

PIECES = 8


class CpuEngine:
    """Runs a `Multislice` on the CPU. The same three methods as `ArrayEngine`."""

    def __init__(self, kernel: Multislice, threads: int) -> None:
        self.kernel, self.threads = kernel, threads
        window, full, (rows, columns) = kernel.window, kernel.full, kernel.detector
        plans = [fftw.executor()]
        plans += [fftw.plan_2d(window, direction, in_place=False) for direction in (fftw.FORWARD, fftw.BACKWARD)]
        plans += [fftw.plan_2d(window, direction) for direction in (fftw.FORWARD, fftw.BACKWARD)]
        for direction in (fftw.FORWARD, fftw.BACKWARD):
            plans += [fftw.plan_rows(window, full, direction), fftw.plan_columns(full, columns, direction)]
        self.plans = np.array(plans, dtype=np.int64)
        self.propagator = fftw.aligned((window, window))
        self.propagator[...] = kernel.propagator / window**2  # FFTW leaves its inverse unscaled
        self.kept_rows, self.kept_columns = (kernel.kept(count) for count in (rows, columns))
        self.whole = self.kernel.detector == (window, window) == (full, full)
        self.sums = np.empty(0, np.float32)
        self.buffers: dict[tuple[int, int], tuple[np.ndarray, ...]] = {}

    def intensities(self, transmission: np.ndarray, corners: np.ndarray, waves: Waves) -> np.ndarray:
        result = np.empty((len(corners), *self.kernel.detector), np.float32)
        entrance, rest, which = _contiguous(waves)

        def piece(number: int, first: int, last: int) -> None:
            *fixed, states, work, rows, columns = self._common(number, entrance.shape[1])
            buffers = (states[:, :1], work, rows, columns)  # one state, written over: it stays in the cache
            _diffract(*fixed, *buffers, transmission, corners[first:last], entrance, rest, which[first:last], result[first:last])

        self._run(piece, len(corners), entrance.shape[1])
        return result

    def gradient(
        self,
        transmission: np.ndarray,
        corners: np.ndarray,
        waves: Waves,
        measured: np.ndarray,
        floor: float | None,
        back: Back,
        chosen: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...] | None]:
        entrance, rest, which = _contiguous(waves)
        pieces = self._pieces(len(corners))
        pad, (slices, *padded) = self.kernel.pad, transmission.shape
        gradients = self._gradients((len(pieces), slices, *(side - 2 * pad for side in padded)))
        chosen = np.arange(len(corners)) if chosen is None else chosen
        losses = np.empty(len(corners), np.float64)
        by_kind = back == "kinds" and len(entrance) * len(pieces) <= len(corners)  # each piece adds up its own
        count = len(pieces) * len(entrance) if by_kind else len(corners) if back else 0
        modes = entrance.shape[1]
        ends = self._ends(modes, count, 0 if by_kind and self.whole else count)

        def piece(number: int, first: int, last: int) -> None:
            _differentiate(
                *self._common(number, modes),
                transmission,
                corners[first:last],
                entrance,
                rest,
                which[first:last],
                measured,
                chosen[first:last],
                np.float32(-1.0 if floor is None else floor),
                losses[first:last],
                gradients[number],
                which[first:last] + number * len(entrance) if by_kind else np.arange(first, last),
                *ends,
            )

        self._run(piece, len(corners), modes)
        if by_kind:
            ends = tuple(end.reshape(-1, len(entrance), *end.shape[1:]).sum(axis=0) for end in ends)
        elif back == "kinds":
            ends = tuple(summed(end, waves) for end in ends)
        gradient = np.zeros(transmission.shape, np.float32)
        gradients.sum(axis=0, out=self.kernel.unpadded(gradient))
        return losses, gradient, ends if back else None

    def _ends(self, modes: int, *counts: int) -> tuple[np.ndarray, ...]:
        shapes = ((self.kernel.window, self.kernel.window), self.kernel.detector)
        return tuple(np.zeros((count, modes, *shape), np.complex64) for count, shape in zip(counts, shapes, strict=True))

    def _gradients(self, shape: tuple[int, ...]) -> np.ndarray:
        """Zeros, kept from call to call: fresh memory costs as much as the transforms of a few probes."""
        if self.sums.shape != shape:
            self.sums = np.empty(shape, np.float32)
        self.sums[...] = 0
        return self.sums

    def _pieces(self, probes: int) -> list[tuple[int, int]]:
        return list(itertools.pairwise(int(edge) for edge in np.linspace(0, probes, min(PIECES, probes) + 1)))

    def _run(self, piece: Callable[[int, int, int], None], probes: int, modes: int) -> None:
        jobs = [(number, first, last) for number, (first, last) in enumerate(self._pieces(probes))]
        for number, _, _ in jobs:
            self._common(number, modes)  # made here, by one thread
        run_pieces(lambda job: piece(*job), jobs, self.threads)

    def _common(self, number: int, modes: int) -> tuple[Any, ...]:
        if (number, modes) not in self.buffers:
            k = self.kernel
            stride = -(-(k.window**2) // 8) * 8  # each slice begins at an aligned address
            self.buffers[number, modes] = (
                fftw.aligned((modes, k.slices, stride)),
                fftw.aligned((k.window, k.window)),
                fftw.aligned((0 if self.whole else k.window, k.full)),
                fftw.aligned((modes, -(-k.full * k.detector[1] // 8) * 8)),
            )
        return (self.plans, self.propagator, self.kept_rows, self.kept_columns, *self.buffers[number, modes])


def _contiguous(waves: Waves) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.ascontiguousarray(waves.entrance), np.ascontiguousarray(waves.rest), np.ascontiguousarray(waves.which)


@compiled
def _through(plans, propagator, states, work, entrance, transmission, y, x):  # type: ignore[no-untyped-def]
    """Carry the entrance wave through all slices; `work` is overwritten.

    `states[m]` becomes the wave behind the transmission of slice m; a single state is written over and ends as the exit wave.
    """
    window, slices, row = len(work), len(transmission), transmission.shape[2]
    wave, kernel = entrance.ctypes.data, propagator.ctypes.data
    for m in range(slices):
        state = states[m % len(states)].ctypes.data
        seen = transmission[m].ctypes.data + BYTES * (y * row + x)
        for i in range(window):
            multiply(state + BYTES * i * window, wave + BYTES * i * window, seen + BYTES * i * row, window)
        if m < slices - 1:
            wave = work.ctypes.data
            execute(plans[EXECUTOR], plans[OUT_OF_STATE], state, wave)
            multiply(wave, wave, kernel, window * window)
            execute(plans[EXECUTOR], plans[BACKWARD], wave, wave)


@compiled
def _diffract(  # type: ignore[no-untyped-def]
    plans, propagator, kept_rows, kept_columns, states, work, rows, columns, transmission, corners, entrance, rest, which, result
):
    full, count = rows.shape[1], len(kept_columns)
    scale, size = np.float32(1.0 / full), len(kept_rows) * count
    for p in range(len(corners)):
        result[p] = 0
        total, unscattered = result[p].ctypes.data, rest[which[p]].ctypes.data
        for o in range(len(columns)):
            pattern = columns[o, : full * count].reshape((full, count))
            _through(plans, propagator, states[o], work, entrance[which[p], o], transmission, corners[p, 0], corners[p, 1])
            to_detector(plans, states[o, -1], kept_columns, rows, pattern)
            for i in range(len(kept_rows)):
                there, here = pattern.ctypes.data + BYTES * kept_rows[i] * count, i * count
                add_intensity(total + BYTES // 2 * here, there, unscattered + BYTES * (o * size + here), scale, count)


@compiled
def _differentiate(  # type: ignore[no-untyped-def]
    plans, propagator, kept_rows, kept_columns, states, work, rows, columns, transmission, corners, entrance, rest, which,
    measured, chosen, floor, losses, gradient, place, at_entrance, at_detector,
):  # fmt: skip
    nothing, window = np.empty((0, 0, 0), np.complex64), len(work)
    full, count = rows.shape[1], len(kept_columns)
    lines = np.empty((5, count), np.float32)
    bits = lines[2].view(np.int32)
    for p in range(len(corners)):
        y, x = corners[p]
        for o in range(len(columns)):
            pattern = columns[o, : full * count].reshape((full, count))
            _through(plans, propagator, states[o], work, entrance[which[p], o], transmission, y, x)
            to_detector(plans, states[o, -1], kept_columns, rows, pattern)
        seen = at_detector[place[p]] if len(at_detector) else nothing
        losses[p] = residual(columns, full, kept_rows, rest[which[p]], measured[chosen[p]], floor, lines, bits, seen)
        for o in range(len(columns)):
            pattern = columns[o, : full * count].reshape((full, count))
            from_detector(plans, work, kept_columns, rows, pattern)
            _back_through(plans, propagator, states[o], work, transmission, y, x, gradient)
            if len(at_entrance):
                add(at_entrance[place[p], o].ctypes.data, work.ctypes.data, window * window)


@compiled
def _back_through(plans, propagator, states, work, transmission, y, x, gradient):  # type: ignore[no-untyped-def]
    """Carry `work`, ∂L/∂ψ* behind the last slice, back to the entrance, and add up the gradients of the slices.

    Only inside the volume: round it is vacuum, which leaves the wave as it is.
    """
    window, slices, row, (ny, nx) = len(work), len(transmission), transmission.shape[2], gradient.shape[1:]
    pad, wave, kernel = (row - nx) // 2, work.ctypes.data, propagator.ctypes.data
    top, left = max(y, pad), max(x, pad)
    bottom, count = min(y + window, pad + ny), min(x + window, pad + nx) - left
    for m in range(slices - 1, -1, -1):
        state = states[m].ctypes.data
        seen_by = transmission[m].ctypes.data
        total = gradient[m].ctypes.data
        for i in range(top, bottom):
            line, here = BYTES * ((i - y) * window + left - x), BYTES // 2 * ((i - pad) * nx + left - pad)
            back_through(total + here, state + line, wave + line, seen_by + BYTES * (i * row + left), count)
        if m > 0:
            execute(plans[EXECUTOR], plans[FORWARD], wave, wave)
            multiply_conj(wave, wave, kernel, window * window)
            execute(plans[EXECUTOR], plans[BACKWARD], wave, wave)
