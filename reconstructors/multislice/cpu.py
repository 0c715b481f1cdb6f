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

from benchsuite.compiled import compiled, run_pieces
from reconstructors import fftw
from reconstructors.fftw import execute
from reconstructors.multislice.simd import BYTES, accumulate_imag, multiply, multiply_conj

if TYPE_CHECKING:
    from reconstructors.multislice.kernel import Multislice, Waves

PIECES = 8
EXECUTOR, OUT_OF_STATE, FORWARD, BACKWARD, ROWS, COLUMNS, ROWS_BACK, COLUMNS_BACK = range(8)  # places in the list of plans


class CpuEngine:
    """Runs a `Multislice` on the CPU. The same three methods as `ArrayEngine`."""

    def __init__(self, kernel: Multislice, threads: int) -> None:
        self.kernel, self.threads = kernel, threads
        window, full, (rows, columns) = kernel.window, kernel.full, kernel.detector
        plans = [fftw.executor(), fftw.plan_2d(window, fftw.FORWARD, in_place=False)]
        plans += [fftw.plan_2d(window, direction) for direction in (fftw.FORWARD, fftw.BACKWARD)]
        for direction in (fftw.FORWARD, fftw.BACKWARD):
            plans += [fftw.plan_rows(window, full, direction), fftw.plan_columns(full, columns, direction)]
        self.plans = np.array(plans, dtype=np.int64)
        self.propagator = fftw.aligned((window, window))
        self.propagator[...] = kernel.propagator / window**2  # FFTW leaves its inverse unscaled
        self.kept_rows, self.kept_columns = (kernel.kept(count) for count in (rows, columns))
        self.buffers: dict[int, tuple[np.ndarray, ...]] = {}

    def intensities(self, transmission: np.ndarray, corners: np.ndarray, waves: Waves) -> np.ndarray:
        result = np.empty((len(corners), *self.kernel.detector), np.float32)
        entrance, rest, which = _contiguous(waves)

        def piece(number: int, first: int, last: int) -> None:
            *fixed, states, work, rows, columns = self._common(number)
            buffers = (states[:1], work, rows, columns)  # one state, written over: it stays in the cache
            _diffract(*fixed, *buffers, transmission, corners[first:last], entrance, rest, which[first:last], result[first:last])

        self._run(piece, len(corners))
        return result

    def gradient(
        self, transmission: np.ndarray, corners: np.ndarray, waves: Waves, measured: np.ndarray, floor: float | None, back: bool
    ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray] | None]:
        entrance, rest, which = _contiguous(waves)
        pieces = self._pieces(len(corners))
        gradients = np.zeros((len(pieces), *transmission.shape), np.float32)
        losses = np.empty(len(corners), np.float64)
        window, detector = self.kernel.window, self.kernel.detector
        returned = len(corners) if back else 0
        at_entrance = np.empty((returned, window, window), np.complex64)
        at_detector = np.empty((returned, *detector), np.complex64)

        def piece(number: int, first: int, last: int) -> None:
            _differentiate(
                *self._common(number),
                transmission,
                corners[first:last],
                entrance,
                rest,
                which[first:last],
                measured[first:last],
                np.float32(-1.0 if floor is None else floor),
                losses[first:last],
                gradients[number],
                at_entrance[first:last],
                at_detector[first:last],
            )

        self._run(piece, len(corners))
        return losses, gradients.sum(axis=0), (at_entrance, at_detector) if back else None

    def _pieces(self, probes: int) -> list[tuple[int, int]]:
        return list(itertools.pairwise(int(edge) for edge in np.linspace(0, probes, min(PIECES, probes) + 1)))

    def _run(self, piece: Callable[[int, int, int], None], probes: int) -> None:
        jobs = [(number, first, last) for number, (first, last) in enumerate(self._pieces(probes))]
        for number, _, _ in jobs:
            self._common(number)  # made here, by one thread
        run_pieces(lambda job: piece(*job), jobs, self.threads)

    def _common(self, number: int) -> tuple[Any, ...]:
        if number not in self.buffers:
            k = self.kernel
            stride = -(-(k.window**2) // 8) * 8  # each slice begins at an aligned address
            self.buffers[number] = (
                fftw.aligned((k.slices, stride)),
                fftw.aligned((k.window, k.window)),
                fftw.aligned((k.window, k.full)),
                fftw.aligned((k.full, k.detector[1])),
            )
        return (self.plans, self.propagator, self.kept_rows, self.kept_columns, *self.buffers[number])


def _contiguous(waves: Waves) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.ascontiguousarray(waves.entrance), np.ascontiguousarray(waves.rest), np.ascontiguousarray(waves.which)


@compiled
def _through(plans, propagator, states, work, transmission, y, x):  # type: ignore[no-untyped-def]
    """Carry `work`, the entrance wave, through all slices.

    `states[m]` becomes the wave behind the transmission of slice m; a single state is written over and ends as the exit wave.
    """
    window, slices, row = len(work), len(transmission), transmission.shape[2]
    wave, kernel = work.ctypes.data, propagator.ctypes.data
    for m in range(slices):
        state = states[m % len(states)].ctypes.data
        seen = transmission[m].ctypes.data + BYTES * (y * row + x)
        for i in range(window):
            multiply(state + BYTES * i * window, wave + BYTES * i * window, seen + BYTES * i * row, window)
        if m < slices - 1:
            execute(plans[EXECUTOR], plans[OUT_OF_STATE], state, wave)
            multiply(wave, wave, kernel, window * window)
            execute(plans[EXECUTOR], plans[BACKWARD], wave, wave)


@compiled
def _to_detector(plans, state, kept_columns, rows, columns):  # type: ignore[no-untyped-def]
    """Transform the exit wave, in a field of zeros, to the detector's columns; all rows of the full pattern are there."""
    window, scale = len(rows), np.float32(1.0 / rows.shape[1])
    rows[:, window:] = 0
    for i in range(window):
        for j in range(window):
            rows[i, j] = state[i * window + j] * scale
    execute(plans[EXECUTOR], plans[ROWS], rows.ctypes.data, rows.ctypes.data)
    for i in range(window):
        for j in range(len(kept_columns)):
            columns[i, j] = rows[i, kept_columns[j]]
    columns[window:] = 0
    execute(plans[EXECUTOR], plans[COLUMNS], columns.ctypes.data, columns.ctypes.data)


@compiled
def _from_detector(plans, work, kept_columns, rows, columns):  # type: ignore[no-untyped-def]
    """The adjoint of `_to_detector`: from the pattern's columns to the window."""
    window, scale = len(rows), np.float32(1.0 / rows.shape[1])
    execute(plans[EXECUTOR], plans[COLUMNS_BACK], columns.ctypes.data, columns.ctypes.data)
    rows[:] = 0
    for i in range(window):
        for j in range(len(kept_columns)):
            rows[i, kept_columns[j]] = columns[i, j] * scale
    execute(plans[EXECUTOR], plans[ROWS_BACK], rows.ctypes.data, rows.ctypes.data)
    work[:] = rows[:, :window]


@compiled
def _diffract(  # type: ignore[no-untyped-def]
    plans, propagator, kept_rows, kept_columns, states, work, rows, columns, transmission, corners, entrance, rest, which, result
):
    for p in range(len(corners)):
        work[:] = entrance[which[p]]
        _through(plans, propagator, states, work, transmission, corners[p, 0], corners[p, 1])
        _to_detector(plans, states[-1], kept_columns, rows, columns)
        for i in range(len(kept_rows)):
            for j in range(len(kept_columns)):
                wave = columns[kept_rows[i], j] + rest[which[p], i, j]
                result[p, i, j] = wave.real * wave.real + wave.imag * wave.imag


@compiled
def _residual(columns, kept_rows, rest, measured, floor, seen):  # type: ignore[no-untyped-def]
    """Replace the wave at the detector by ∂L/∂Ψ* and return L; `seen` gets a copy where it is not empty."""
    loss, tiny, one = 0.0, np.float32(1e-20), np.float32(1.0)
    factor = one
    before = 0
    for i in range(len(kept_rows)):
        row = kept_rows[i]
        columns[before:row] = 0
        before = row + 1
        along = np.float32(0)
        for j in range(columns.shape[1]):
            wave = columns[row, j] + rest[i, j]
            intensity = wave.real * wave.real + wave.imag * wave.imag + tiny
            if floor >= 0:
                expected, found = intensity + floor, measured[i, j] + floor
                along += expected - found
                if found > 0:
                    along += found * np.log(found / expected)
                factor = one - found / expected
            else:
                amplitude = np.sqrt(intensity)
                difference = amplitude - measured[i, j]
                along += difference * difference
                factor = difference / amplitude
            columns[row, j] = wave * factor
        loss += float(along)
    columns[before:] = 0
    if seen.size:
        for i in range(len(kept_rows)):
            seen[i] = columns[kept_rows[i]]
    return loss


@compiled
def _differentiate(  # type: ignore[no-untyped-def]
    plans, propagator, kept_rows, kept_columns, states, work, rows, columns, transmission, corners, entrance, rest, which,
    measured, floor, losses, gradient, at_entrance, at_detector,
):  # fmt: skip
    window, slices, row = len(work), len(transmission), transmission.shape[2]
    wave, kernel = work.ctypes.data, propagator.ctypes.data
    nothing = np.empty((0, 0), np.complex64)
    for p in range(len(corners)):
        y, x = corners[p]
        work[:] = entrance[which[p]]
        _through(plans, propagator, states, work, transmission, y, x)
        _to_detector(plans, states[-1], kept_columns, rows, columns)
        seen = at_detector[p] if len(at_detector) else nothing
        losses[p] = _residual(columns, kept_rows, rest[which[p]], measured[p], floor, seen)
        _from_detector(plans, work, kept_columns, rows, columns)
        for m in range(slices - 1, -1, -1):
            offset = y * row + x
            state = states[m].ctypes.data
            seen_by = transmission[m].ctypes.data + BYTES * offset
            total = gradient[m].ctypes.data + BYTES // 2 * offset
            for i in range(window):
                line = BYTES * i * window
                accumulate_imag(total + BYTES // 2 * i * row, state + line, wave + line, window)
                multiply_conj(wave + line, wave + line, seen_by + BYTES * i * row, window)
            if m > 0:
                execute(plans[EXECUTOR], plans[FORWARD], wave, wave)
                multiply_conj(wave, wave, kernel, window * window)
                execute(plans[EXECUTOR], plans[BACKWARD], wave, wave)
        if len(at_entrance):
            at_entrance[p] = work
