"""FFTW plans as addresses, so that compiled loops transform without the interpreter in between.

pyFFTW brings the library but calls it from Python, once per transform and with the interpreter lock changing hands; its own
shared library gives the C functions all the same. Frigo & Johnson, Proc. IEEE 93 (2005) 216, doi:10.1109/JPROC.2004.840301.

Results of two plans differ by rounding, and equal inputs have to give equal bits in every process. FFTW estimates the best plan
of 32, 64 and 128 points well, so those are not timed. Estimated plans of other sizes can be ten times slower: they are timed
once per kind of processor and kept in the user's cache folder (`benchsuite.physics.fft.plans`). What others plan in this process
(abTEM) has no part in it.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from benchsuite.physics.fft.plans import kept

FORWARD, BACKWARD = -1, 1
_MEASURE, _ESTIMATE, _WISDOM_ONLY = 0, 1 << 6, 1 << 21
_ESTIMATED_WELL = (32, 64, 128)
_ALIGNED = 64  # bytes: every address handed to a plan
_planning = threading.Lock()  # FFTW's planner is not thread-safe


@functools.cache
def _library() -> Any:
    try:
        import pyfftw

        library = ctypes.CDLL(pyfftw.pyfftw.__file__)  # symbols of the FFTW that it is linked with are found through it
        plan, execute = library.fftwf_plan_many_dft, library.fftwf_execute_dft
    except (ImportError, OSError, AttributeError):
        return None
    sizes = ctypes.POINTER(ctypes.c_int)
    layout = (ctypes.c_void_p, sizes, ctypes.c_int, ctypes.c_int)
    plan.argtypes = [ctypes.c_int, sizes, ctypes.c_int, *layout, *layout, ctypes.c_int, ctypes.c_uint]
    plan.restype = ctypes.c_void_p
    execute.argtypes, execute.restype = [ctypes.c_void_p] * 3, None
    library.fftwf_import_wisdom_from_string.argtypes = [ctypes.c_char_p]
    pointers = [ctypes.c_int, sizes, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint]
    for name in ("fftwf_plan_dft_r2c", "fftwf_plan_dft_c2r"):
        getattr(library, name).argtypes, getattr(library, name).restype = pointers, ctypes.c_void_p
    return library


def available() -> bool:
    """Whether the C functions of FFTW can be reached; where not, the array engine computes."""
    return _library() is not None


def executor() -> int:
    """Return the address of `fftwf_execute_dft(plan, source, target)`, for `execute`."""
    return int(ctypes.cast(_library().fftwf_execute_dft, ctypes.c_void_p).value or 0)


@intrinsic
def _call(_typing: Any, address: Any, plan: Any, source: Any, target: Any) -> Any:
    """In a numba function: call the C function at `address` with three addresses. (A pointer that is an argument can be cached.)"""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer] * 3).as_pointer()
        builder.call(builder.inttoptr(arguments[0], kind), [builder.inttoptr(value, pointer) for value in arguments[1:]])
        return _context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp), generate


execute: Any = _call  # mypy takes the arguments of an intrinsic for those of its typing function


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Return zeros, complex64, that begin where SIMD instructions want them: plans take such addresses only."""
    size = int(np.prod(shape)) * 8
    raw = np.zeros(size + _ALIGNED, np.uint8)
    start = -raw.ctypes.data % _ALIGNED
    return raw[start : start + size].view(np.complex64).reshape(shape)


def plan_2d(side: int, direction: int, in_place: bool = True) -> int:
    """Return the address of a plan for a (side, side) complex64 array, in place or from one array to another."""
    return _plan((side, side), 1, 1, side * side, direction, in_place)


def plan_rows(rows: int, length: int, direction: int) -> int:
    """Return a plan for `rows` contiguous transforms of one length, in place."""
    return _plan((length,), rows, 1, length, direction, in_place=True)


def plan_columns(length: int, columns: int, direction: int) -> int:
    """Return a plan for transforms along the first axis of a (length, columns) array, in place."""
    return _plan((length,), columns, columns, 1, direction, in_place=True)


@functools.cache
def plan_real(rows: int, columns: int, direction: int) -> int:
    """Return a plan from a (rows, columns) float32 array to its (rows, columns // 2 + 1) half spectrum, or back.

    Out of place; the way back destroys the spectrum. For `execute_real`.
    """
    arrays = [aligned((rows, columns // 2 + 1)) for _ in range(2)]  # planning writes to them
    source, target = (array.ctypes.data for array in arrays)
    sizes = (ctypes.c_int * 2)(rows, columns)
    library = _library()
    function = library.fftwf_plan_dft_r2c if direction == FORWARD else library.fftwf_plan_dft_c2r
    return _planned(lambda effort: function(2, sizes, source, target, effort), columns, f"real transforms of {rows} × {columns}")


def execute_real(plan: int, source: np.ndarray, target: np.ndarray, direction: int) -> None:
    """Run a plan of `plan_real` on aligned arrays; other threads of Python run meanwhile."""
    library = _library()
    run = library.fftwf_execute_dft_r2c if direction == FORWARD else library.fftwf_execute_dft_c2r
    run(ctypes.c_void_p(plan), ctypes.c_void_p(source.ctypes.data), ctypes.c_void_p(target.ctypes.data))


@functools.cache
def _plan(shape: tuple[int, ...], many: int, stride: int, distance: int, direction: int, in_place: bool) -> int:
    size = int(np.prod(shape)) * many
    arrays = [aligned((size,)) for _ in range(1 if in_place else 2)]
    source, target = arrays[0].ctypes.data, arrays[-1].ctypes.data
    sizes = (ctypes.c_int * len(shape))(*shape)

    def plan(effort: int) -> int | None:
        address: int | None = _library().fftwf_plan_many_dft(
            len(shape), sizes, many, source, None, stride, distance, target, None, stride, distance, direction, effort
        )
        return address

    return _planned(plan, shape[-1], f"{many} transforms of {shape}")


def _planned(plan: Callable[[int], int | None], length: int, what: str) -> int:
    """Return the plan that `plan` makes with the effort that its length deserves. Raises MemoryError where there is none."""
    with _planning, _wisdom_apart():
        found = plan(_ESTIMATE) if length in _ESTIMATED_WELL else _kept(plan)
    if not found:
        raise MemoryError(f"FFTW has no plan for {what}")
    return found


@contextmanager
def _wisdom_apart() -> Iterator[None]:
    """Plan for one thread and without wisdom, then give FFTW back what it knew."""
    import pyfftw

    before = pyfftw.export_wisdom()
    pyfftw.forget_wisdom()
    with suppress(AttributeError):  # an FFTW without threads
        _library().fftwf_plan_with_nthreads(1)
    try:
        yield
    finally:
        pyfftw.forget_wisdom()
        pyfftw.import_wisdom(before)


def _kept(plan: Callable[[int], int | None]) -> int | None:
    """Return the plan that was measured first on this kind of processor; measure it and keep it if there is none.

    Where none can be kept it is estimated: slower, but the same in every process.
    """
    import pyfftw

    try:
        with kept() as plans:
            _library().fftwf_import_wisdom_from_string(plans.wisdom)
            known = plan(_MEASURE | _WISDOM_ONLY)
            if known:
                return known
            found = plan(_MEASURE)
            plans.replace(pyfftw.export_wisdom()[1])
            return found
    except OSError:
        pyfftw.forget_wisdom()
        return plan(_ESTIMATE)
