"""Compiled loops between exit wave and pattern, for `engine_numba`: to the detector, the residual there, and the way back.

A field that is neither windowed nor cropped takes one transform of the whole plane. Otherwise rows are transformed in a field of
zeros, and of the columns only those that the detector has: `Buffers.rows` holds them; it has no rows in the first case.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchsuite.physics.compiled import compiled
from benchsuite.physics.fft.fftw import execute
from benchsuite.physics.multislice.simd import BYTES, add_intensity, add_weighted, weight

# places in the list of plans
EXECUTOR, OUT_OF_STATE, BACK_OUT, FORWARD, BACKWARD, ROWS, COLUMNS, ROWS_BACK, COLUMNS_BACK = range(9)
TINY = np.float32(1e-20)  # added to calculated intensities: their roots and logarithms are finite
LN2, HALF_ROOT = np.float32(np.log(2)), np.int32(0x3F3504F3)  # bits of √½


class Tables(NamedTuple):
    """What all probes share: FFTW's plans, the propagator (window, window), and the detector's rows and columns in the field."""

    plans: np.ndarray
    propagator: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


class Buffers(NamedTuple):
    """What one piece of the probes works on: waves behind every slice (modes, slices, ≥ window²) and one wave (window, window);
    rows (window, field) of a field of zeros; patterns (modes, ≥ field · columns of the detector).
    """

    states: np.ndarray
    wave: np.ndarray
    rows: np.ndarray
    patterns: np.ndarray


@compiled
def to_detector(tables: Tables, state: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> None:
    """Transform the exit wave, unscaled, to the detector's columns (field, columns); all rows of the field are there."""
    plans, window = tables.plans, len(rows)
    if window == 0:
        execute(plans[EXECUTOR], plans[OUT_OF_STATE], state.ctypes.data, columns.ctypes.data)
        return
    rows[:, window:] = 0
    for i in range(window):
        rows[i, :window] = state[i * window : (i + 1) * window]
    execute(plans[EXECUTOR], plans[ROWS], rows.ctypes.data, rows.ctypes.data)
    for i in range(window):
        for j in range(len(tables.columns)):
            columns[i, j] = rows[i, tables.columns[j]]
    columns[window:] = 0
    execute(plans[EXECUTOR], plans[COLUMNS], columns.ctypes.data, columns.ctypes.data)


@compiled
def from_detector(tables: Tables, wave: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> None:
    """The adjoint of `to_detector`: from the pattern's columns to the window."""
    plans, window = tables.plans, len(rows)
    if window == 0:
        execute(plans[EXECUTOR], plans[BACK_OUT], columns.ctypes.data, wave.ctypes.data)
        return
    execute(plans[EXECUTOR], plans[COLUMNS_BACK], columns.ctypes.data, columns.ctypes.data)
    rows[:] = 0
    for i in range(window):
        for j in range(len(tables.columns)):
            rows[i, tables.columns[j]] = columns[i, j]
    execute(plans[EXECUTOR], plans[ROWS_BACK], rows.ctypes.data, rows.ctypes.data)
    wave[:] = rows[:, :window]


@compiled
def residual(
    patterns: np.ndarray,
    field: int,
    detector_rows: np.ndarray,
    unwindowed: np.ndarray,
    measured: np.ndarray,
    floor: np.float32,
    lines: np.ndarray,
    bits: np.ndarray,
    gradient: np.ndarray,
) -> float:
    """Replace the unscaled waves at the detector by 1/field · ∂L/∂Ψ*, add ∂L/∂Ψ* to `gradient`, unless it is empty, and return L.

    patterns: (modes, ≥ field · columns); unwindowed, gradient: (modes, rows, columns); lines: (5, columns) float32 to work in,
    `bits` the third as int32. Modes add up in the pattern and share a factor. A view costs as much as ten pixels: none in the loop.
    """
    scale, count = np.float32(1.0 / field), lines.shape[1]
    step, size = BYTES * patterns.shape[1], BYTES * len(detector_rows) * count
    intensity, factor, ratio, exponent, total = lines[0], lines[1], lines[2], lines[3], lines[4]
    total[:] = 0
    before = 0
    for i in range(len(detector_rows)):
        row = detector_rows[i]
        if row > before:
            patterns[:, before * count : row * count] = 0
        before = row + 1
        intensity[:] = TINY
        wave, offset = patterns.ctypes.data + BYTES * row * count, BYTES * i * count
        for o in range(len(patterns)):
            add_intensity(intensity.ctypes.data, wave + o * step, unwindowed.ctypes.data + o * size + offset, scale, count)
        if floor >= 0:
            _poisson(intensity, measured, i, floor, factor, ratio, bits, exponent, total)
        else:
            _amplitude(intensity, measured, i, factor, total)
        if gradient.size:
            for o in range(len(patterns)):
                add_weighted(gradient.ctypes.data + o * size + offset, wave + o * step, factor.ctypes.data, count)
        for j in range(count):
            factor[j] *= scale
        for o in range(len(patterns)):
            weight(wave + o * step, wave + o * step, factor.ctypes.data, count)
    patterns[:, before * count :] = 0
    loss = 0.0
    for j in range(count):
        loss += float(total[j])
    return loss


@compiled
def _amplitude(intensity: np.ndarray, measured: np.ndarray, i: int, factor: np.ndarray, total: np.ndarray) -> None:
    """Add (√I_calc − √I)² of row i to `total`; `factor` becomes 1 − √I/√I_calc."""
    for j in range(len(intensity)):
        amplitude = np.sqrt(intensity[j])
        difference = amplitude - measured[i, j]
        total[j] += difference * difference
        factor[j] = difference / amplitude


@compiled
def _poisson(
    intensity: np.ndarray,
    measured: np.ndarray,
    i: int,
    floor: np.float32,
    factor: np.ndarray,
    ratio: np.ndarray,
    bits: np.ndarray,
    exponent: np.ndarray,
    total: np.ndarray,
) -> None:
    """Add the Poisson loss of row i to `total`; `factor` becomes 1 − (I + ε)/(I_calc + ε).

    The logarithm is written out, for the vector units: the exponent, and the series of artanh for a mantissa between √½ and √2.
    """
    for j in range(len(intensity)):
        quotient = (measured[i, j] + floor) / (intensity[j] + floor)
        factor[j] = np.float32(1) - quotient
        ratio[j] = quotient + TINY
    for j in range(len(intensity)):
        power = np.int32(np.int32(bits[j] - HALF_ROOT) >> np.int32(23))
        bits[j] -= np.int32(power << np.int32(23))
        exponent[j] = np.float32(power)
    for j in range(len(intensity)):  # apart from the loop before: bits are those of ratio
        part = (ratio[j] - np.float32(1)) / (ratio[j] + np.float32(1))
        square = part * part
        series = np.float32(2 / 9) * square + np.float32(2 / 7)
        series = series * square + np.float32(2 / 5)
        series = series * square + np.float32(2 / 3)
        logarithm = exponent[j] * LN2 + part * (series * square + np.float32(2))
        expected, found = intensity[j] + floor, measured[i, j] + floor
        total[j] += expected - found + found * logarithm
