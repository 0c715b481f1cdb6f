"""Products of complex64 rows, eight numbers at a time, for numba functions.

numba multiplies interleaved complex numbers a few times slower than numpy's vector loops, and calling numpy holds the interpreter
lock. These intrinsics are plain LLVM vector code (any processor), take addresses, and run without the lock.
Rows may overlap only where they are the same.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LANES = 8
BYTES = 8  # of a complex64
_FLOAT, _INDEX = ir.FloatType(), ir.IntType(32)
_FUSED = ("contract",)


def _pattern(indices: list[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(_INDEX, len(indices)), indices)


def _load(builder: Any, address: Any, kind: Any) -> Any:
    value = builder.load(builder.inttoptr(address, kind.as_pointer()))
    value.align = 4
    return value


def _store(builder: Any, value: Any, address: Any, kind: Any) -> None:
    builder.store(value, builder.inttoptr(address, kind.as_pointer())).align = 4


def _product(lanes: int, conjugate: bool) -> Any:
    """Return an intrinsic (out, a, b): out = a·b, or a·conj(b), for `lanes` complex numbers at three addresses."""
    kind, numbers = ir.VectorType(_FLOAT, 2 * lanes), range(2 * lanes)
    swapped, real, imaginary = (_pattern([f(k) for k in numbers]) for f in (lambda k: k ^ 1, lambda k: k & ~1, lambda k: k | 1))
    sign = ir.Constant(kind, [(1.0 if conjugate else -1.0) * (-1.0) ** k for k in numbers])

    @intrinsic
    def product(_typing: Any, out: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            nothing = ir.Constant(kind, ir.Undefined)
            a, b = (_load(builder, address, kind) for address in arguments[1:])
            along = builder.fmul(a, builder.shuffle_vector(b, nothing, real), flags=_FUSED)
            across = builder.fmul(
                builder.shuffle_vector(a, nothing, swapped), builder.shuffle_vector(b, nothing, imaginary), flags=_FUSED
            )
            result = builder.fadd(along, builder.fmul(across, sign, flags=_FUSED), flags=_FUSED)
            _store(builder, result, arguments[0], kind)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp), generate

    return product


def _accumulation(lanes: int) -> Any:
    """Return an intrinsic (total, a, b): total += 2 Im(conj(a)·b), float32, for `lanes` complex numbers a and b."""
    kind, half = ir.VectorType(_FLOAT, 2 * lanes), ir.VectorType(_FLOAT, lanes)
    real, imaginary = (_pattern([2 * k + part for k in range(lanes)]) for part in (0, 1))

    @intrinsic
    def accumulate(_typing: Any, total: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            nothing = ir.Constant(kind, ir.Undefined)
            (ar, ai), (br, bi) = (
                [builder.shuffle_vector(_load(builder, address, kind), nothing, part) for part in (real, imaginary)]
                for address in arguments[1:]
            )
            part = builder.fsub(builder.fmul(ar, bi, flags=_FUSED), builder.fmul(ai, br, flags=_FUSED), flags=_FUSED)
            old = _load(builder, arguments[0], half)
            _store(builder, builder.fadd(old, builder.fadd(part, part), flags=_FUSED), arguments[0], half)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp), generate

    return accumulate


def _intensity(lanes: int) -> Any:
    """Return an intrinsic (total, wave, unwindowed, scale): wave = scale·wave + unwindowed, total (float32) += |wave|²."""
    kind, half = ir.VectorType(_FLOAT, 2 * lanes), ir.VectorType(_FLOAT, lanes)
    real, imaginary = (_pattern([2 * k + part for k in range(lanes)]) for part in (0, 1))
    everywhere = _pattern([0] * 2 * lanes)

    @intrinsic
    def intensity(_typing: Any, total: Any, wave: Any, unwindowed: Any, scale: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            nothing = ir.Constant(kind, ir.Undefined)
            single = ir.VectorType(_FLOAT, 1)
            factor = builder.insert_element(ir.Constant(single, ir.Undefined), arguments[3], _INDEX(0))
            factor = builder.shuffle_vector(factor, ir.Constant(single, ir.Undefined), everywhere)
            wave, unwindowed = (_load(builder, address, kind) for address in arguments[1:3])
            wave = builder.fadd(builder.fmul(wave, factor, flags=_FUSED), unwindowed, flags=_FUSED)
            _store(builder, wave, arguments[1], kind)
            squares = builder.fmul(wave, wave, flags=_FUSED)
            parts = [builder.shuffle_vector(squares, nothing, part) for part in (real, imaginary)]
            old = _load(builder, arguments[0], half)
            _store(builder, builder.fadd(old, builder.fadd(*parts, flags=_FUSED), flags=_FUSED), arguments[0], half)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp, types.float32), generate

    return intensity


def _weighting(lanes: int, add: bool) -> Any:
    """Return an intrinsic (out, wave, factor): out = factor·wave, or out += factor·wave, `factor` real (float32)."""
    kind, half = ir.VectorType(_FLOAT, 2 * lanes), ir.VectorType(_FLOAT, lanes)
    doubled = _pattern([k // 2 for k in range(2 * lanes)])

    @intrinsic
    def weight(_typing: Any, out: Any, wave: Any, factor: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            wave, factor = _load(builder, arguments[1], kind), _load(builder, arguments[2], half)
            factor = builder.shuffle_vector(factor, ir.Constant(half, ir.Undefined), doubled)
            result = builder.fmul(wave, factor, flags=_FUSED)
            if add:
                result = builder.fadd(_load(builder, arguments[0], kind), result, flags=_FUSED)
            _store(builder, result, arguments[0], kind)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp), generate

    return weight


def _addition(lanes: int) -> Any:
    """Return an intrinsic (out, wave): out += wave."""
    kind = ir.VectorType(_FLOAT, 2 * lanes)

    @intrinsic
    def addition(_typing: Any, out: Any, wave: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            old, more = (_load(builder, address, kind) for address in arguments)
            _store(builder, builder.fadd(old, more), arguments[0], kind)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp), generate

    return addition


_multiply_8, _multiply_1 = _product(LANES, False), _product(1, False)
_multiply_conj_8, _multiply_conj_1 = _product(LANES, True), _product(1, True)
_accumulate_8, _accumulate_1 = _accumulation(LANES), _accumulation(1)
_intensity_8, _intensity_1 = _intensity(LANES), _intensity(1)
_add_8, _add_1 = _addition(LANES), _addition(1)
_weight_8, _weight_1 = _weighting(LANES, False), _weighting(1, False)
_add_weighted_8, _add_weighted_1 = _weighting(LANES, True), _weighting(1, True)


@numba.njit(nogil=True, inline="always")
def multiply(out: int, a: int, b: int, count: int) -> None:
    """out = a·b for `count` complex64 numbers at these addresses."""
    whole = count - count % LANES
    for k in range(0, whole, LANES):
        _multiply_8(out + BYTES * k, a + BYTES * k, b + BYTES * k)
    for k in range(whole, count):
        _multiply_1(out + BYTES * k, a + BYTES * k, b + BYTES * k)


@numba.njit(nogil=True, inline="always")
def multiply_conj(out: int, a: int, b: int, count: int) -> None:
    """out = a·conj(b) for `count` complex64 numbers at these addresses."""
    whole = count - count % LANES
    for k in range(0, whole, LANES):
        _multiply_conj_8(out + BYTES * k, a + BYTES * k, b + BYTES * k)
    for k in range(whole, count):
        _multiply_conj_1(out + BYTES * k, a + BYTES * k, b + BYTES * k)


@numba.njit(nogil=True, inline="always")
def back_through(total: int, state: int, wave: int, transmission: int, count: int) -> None:
    """total (float32) += 2 Im(conj(state)·wave), then wave = wave·conj(transmission), for `count` complex64 numbers each."""
    whole = count - count % LANES
    for k in range(0, whole, LANES):
        _accumulate_8(total + BYTES // 2 * k, state + BYTES * k, wave + BYTES * k)
        _multiply_conj_8(wave + BYTES * k, wave + BYTES * k, transmission + BYTES * k)
    for k in range(whole, count):
        _accumulate_1(total + BYTES // 2 * k, state + BYTES * k, wave + BYTES * k)
        _multiply_conj_1(wave + BYTES * k, wave + BYTES * k, transmission + BYTES * k)


@numba.njit(nogil=True, inline="always")
def add_intensity(total: int, wave: int, unwindowed: int, scale: np.float32, count: int) -> None:
    """wave = scale·wave + unwindowed for `count` complex64 numbers, and total (float32) += |wave|²."""
    whole = count - count % LANES
    for k in range(0, whole, LANES):
        _intensity_8(total + BYTES // 2 * k, wave + BYTES * k, unwindowed + BYTES * k, scale)
    for k in range(whole, count):
        _intensity_1(total + BYTES // 2 * k, wave + BYTES * k, unwindowed + BYTES * k, scale)


@numba.njit(nogil=True, inline="always")
def weight(out: int, wave: int, factor: int, count: int) -> None:
    """out = factor·wave for `count` complex64 numbers and as many float32 factors."""
    whole = count - count % LANES
    for k in range(0, whole, LANES):
        _weight_8(out + BYTES * k, wave + BYTES * k, factor + BYTES // 2 * k)
    for k in range(whole, count):
        _weight_1(out + BYTES * k, wave + BYTES * k, factor + BYTES // 2 * k)


@numba.njit(nogil=True, inline="always")
def add_weighted(out: int, wave: int, factor: int, count: int) -> None:
    """out += factor·wave for `count` complex64 numbers and as many float32 factors."""
    whole = count - count % LANES
    for k in range(0, whole, LANES):
        _add_weighted_8(out + BYTES * k, wave + BYTES * k, factor + BYTES // 2 * k)
    for k in range(whole, count):
        _add_weighted_1(out + BYTES * k, wave + BYTES * k, factor + BYTES // 2 * k)


@numba.njit(nogil=True, inline="always")
def add(out: int, wave: int, count: int) -> None:
    """out += wave for `count` complex64 numbers."""
    whole = count - count % LANES
    for k in range(0, whole, LANES):
        _add_8(out + BYTES * k, wave + BYTES * k)
    for k in range(whole, count):
        _add_1(out + BYTES * k, wave + BYTES * k)
