"""Measured FFTW plans, kept in the user's cache folder, one file for each kind of processor and build of FFTW.

Results of two plans differ by rounding, and which one measures fastest differs from process to process. Equal inputs have to give
equal bits, so the plan that was measured first is everybody's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from filelock import FileLock
from platformdirs import user_cache_path

from benchsuite.atomic import write_bytes
from benchsuite.errors import StoreError
from benchsuite.physics.backend import processor

MEASURED, ESTIMATED = "FFTW_MEASURE", "FFTW_ESTIMATE"
_T = TypeVar("_T")


class Kept:
    """The plans of the file, while no other process can change it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.wisdom = file.read_bytes() if file.exists() else b""

    def replace(self, wisdom: bytes) -> None:
        """Keep these plans, single precision. Raises OSError where they cannot be written."""
        try:
            write_bytes(self.file, wisdom)
        except StoreError as error:
            raise OSError(str(error)) from error
        self.wisdom = wisdom


@contextmanager
def kept() -> Iterator[Kept]:
    """Hold the plans that are kept. Forgets those of pyFFTW. Raises OSError where there is no folder to keep any in."""
    import pyfftw

    pyfftw.forget_wisdom()
    empty = pyfftw.export_wisdom()[1]
    name = hashlib.sha256(empty + processor().encode()).hexdigest()[:16]
    file = user_cache_path("benchsuite") / f"fftw-{name}.wisdom"
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock"), fallback_to_soft=False):
        yield Kept(file)


def with_kept_plans(compute: Callable[[str], _T]) -> _T:
    """Return what `compute(planning effort)` returns, with the plans of pyFFTW that every process has.

    It is called once more where another process has kept plans of its own meanwhile. Where none can be kept, plans are estimated.
    """
    while True:
        try:
            known = _recalled()
        except OSError:
            return compute(ESTIMATED)
        result = compute(MEASURED)
        try:
            if _settled(known):
                return result
        except OSError:
            return compute(ESTIMATED)


def _recalled() -> bytes:
    """Let pyFFTW know the plans that are kept, and no others."""
    import pyfftw

    with kept() as plans:
        pyfftw.import_wisdom((b"", plans.wisdom, b""))
        return plans.wisdom


def _settled(known: bytes) -> bool:
    """Keep what has been measured since `known` was recalled; False where others did so meanwhile, with plans of their own."""
    import pyfftw

    learned = pyfftw.export_wisdom()[1]
    with kept() as plans:
        if {*learned.splitlines()} <= {*plans.wisdom.splitlines()}:
            return True
        if plans.wisdom != known:
            return False
        plans.replace(learned)
        return True
