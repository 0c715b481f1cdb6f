"""Loops for CPU cores: compiled by numba without the interpreter lock, and run piece by piece by a pool of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])
Job = TypeVar("Job")


def compiled(function: F) -> F:
    """Compile with numba, kept on disk between processes where a folder can be written."""
    options: Any = {"nogil": True, "error_model": "numpy", "boundscheck": False, "fastmath": {"contract", "nsz"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba found no folder for its cache
        return numba.njit(**options)(function)


def run_pieces(function: Callable[[Job], None], jobs: Iterable[Job], threads: int) -> None:
    """Call the function with every job, by as many threads."""
    jobs = list(jobs)
    if threads == 1 or len(jobs) == 1:
        for job in jobs:
            function(job)
        return
    with ThreadPoolExecutor(min(threads, len(jobs))) as pool:
        for _ in pool.map(function, jobs):
            pass
