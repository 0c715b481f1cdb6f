"""Peak resident memory of this process, and of a process tree."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import psutil

_CHILDREN = Path("/proc/thread-self/children")  # where Linux tells them; psutil asks every process who its parent is
_PAGE_BYTES = resource.getpagesize()
_STATUS = Path("/proc/self/status")


def reset_peak() -> None:
    """Start measuring the peak anew (Linux; elsewhere the peak of the whole process is reported)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_bytes() -> int:
    """Return the peak resident memory since `reset_peak`, in bytes."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def tree_bytes(pid: int) -> int:
    """Return the resident memory of a process and its children now; 0 if it is gone."""
    if _CHILDREN.exists():
        return sum(map(_resident_bytes, _tree(pid)))
    try:
        root = psutil.Process(pid)
        return root.memory_info().rss + sum(child.memory_info().rss for child in root.children(recursive=True))
    except psutil.NoSuchProcess:
        return 0


def _tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        children = [int(word) for thread in threads for word in Path(f"/proc/{pid}/task/{thread}/children").read_text().split()]
    except OSError:
        return
    for child in children:
        yield from _tree(child)


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
