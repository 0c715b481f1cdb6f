"""numpy or cupy: the one place that knows which. Kernels ask `get_array_module(x)` and never import cupy themselves."""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np

from benchsuite.errors import BenchsuiteError

Array = np.ndarray  # of numpy, or of cupy, which has the same interface

DEVICES = ("cpu", "cuda")


@functools.cache
def _cupy() -> ModuleType | None:
    try:
        import cupy
    except ImportError:
        return None
    return cupy if cupy.cuda.is_available() else None


def gpu_available() -> bool:
    """Whether cupy is installed and sees a CUDA device (importing cupy alone proves nothing)."""
    return _cupy() is not None


def module_for(device: str) -> ModuleType:
    """Return numpy for "cpu" and cupy for "cuda". Raises BenchsuiteError where the device is not there."""
    if device == "cpu":
        return np
    if device != "cuda":
        raise BenchsuiteError(f"unknown device {device!r}; allowed: {', '.join(DEVICES)}")
    cupy = _cupy()
    if cupy is None:
        raise BenchsuiteError("device 'cuda' needs cupy and a CUDA device; use --device cpu")
    return cupy


def get_array_module(array: Array) -> ModuleType:
    """Return the module (numpy or cupy) that owns the array."""
    cupy = _cupy()
    return cupy if cupy is not None and isinstance(array, cupy.ndarray) else np


def to_host(array: Array) -> np.ndarray:
    """Return the array in host memory; a numpy array comes back as it is."""
    xp = get_array_module(array)
    return np.asarray(array) if xp is np else xp.asnumpy(array)


def fft_module(xp: ModuleType) -> ModuleType:
    """Return scipy.fft or cupyx.scipy.fft: the same functions, single precision kept."""
    if xp is np:
        import scipy.fft

        return scipy.fft
    import cupyx.scipy.fft

    return cupyx.scipy.fft


def sparse_module(xp: ModuleType) -> ModuleType:
    """Return scipy.sparse or cupyx.scipy.sparse."""
    if xp is np:
        import scipy.sparse

        return scipy.sparse
    import cupyx.scipy.sparse

    return cupyx.scipy.sparse


def ndimage_module(xp: ModuleType) -> ModuleType:
    """Return scipy.ndimage or cupyx.scipy.ndimage."""
    if xp is np:
        import scipy.ndimage

        return scipy.ndimage
    import cupyx.scipy.ndimage

    return cupyx.scipy.ndimage


def thread_count() -> int:
    """CPU threads that a kernel may use: OMP_NUM_THREADS where set (the runner sets it), else the cores this process has."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) > 0 else len(os.sched_getaffinity(0))


@contextmanager
def fft_threads(xp: ModuleType) -> Iterator[None]:
    """Let scipy.fft use all threads of this process within the block; nothing to do on a GPU."""
    if xp is np:
        import scipy.fft

        with scipy.fft.set_workers(thread_count()):
            yield
    else:
        yield


def processor() -> str:
    """Return the name of the processor's model, as the operating system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())
