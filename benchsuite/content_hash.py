"""The hash of files that may be large, remembered by path, size and times, so that unchanged ones are not read again.

Kept in the user's cache folder (`$XDG_CACHE_HOME/benchsuite/content`). What was changed less than two seconds ago is not
remembered: a second change in the same tick of the clock would not show.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchsuite.atomic import write_text
from benchsuite.errors import BenchsuiteError, StoreError

log = logging.getLogger(__name__)

SETTLED_S = 2.0
WORTH_SAYING = 5_000_000_000
_here: dict[str, tuple[str, str]] = {}  # what this process has computed, by path


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of all files in a folder.

    Raises BenchsuiteError where something cannot be read.
    """
    try:
        return _folder_hash(path) if path.is_dir() else _file_hash(path)
    except OSError as error:
        raise BenchsuiteError(f"{error.filename or path}: cannot be read: {error.strerror}") from error


def content_stamp(path: Path) -> list[Any]:
    """Return something that differs when a file, or a file right in a folder, was changed; empty where there is nothing."""
    try:
        return [_stamp(path), *(_stamp(file) for file in sorted(path.glob("*")) if file.is_file())]
    except (OSError, ValueError):
        return []


def _folder_hash(folder: Path) -> str:
    files = sorted(Path(base) / name for base, _, names in os.walk(folder) for name in names)

    def compute() -> str:
        found = hashlib.sha256()
        for file in files:
            with open(file, "rb") as stream:
                found.update(f"{file.relative_to(folder)}\0{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
        return found.hexdigest()

    return _remembered(folder, lambda: [_stamp(file) for file in files], compute)


def _file_hash(file: Path) -> str:
    def compute() -> str:
        with open(file, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    return _remembered(file, lambda: [_stamp(file)], compute)


def _remembered(path: Path, stamps: Callable[[], list[list[Any]]], compute: Callable[[], str]) -> str:
    """Return the hash that was computed when the stamps were the same, or compute and remember it."""
    before = stamps()
    told = hashlib.sha256(json.dumps(before).encode()).hexdigest()
    if _here.get(str(path), ("", ""))[0] == told:
        return _here[str(path)][1]
    memory = _memory(path)
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(memory.read_text(encoding="utf-8"))
        if known["stamps"] == told:
            return str(known["sha256"])
    size = sum(stamp[1] for stamp in before)
    if size > WORTH_SAYING:
        log.warning("reading %s once for its hash (%.0f GB)", path, size / 1e9)
    found = compute()
    changed = max((stamp[3] for stamp in before), default=0) / 1e9
    _here[str(path)] = (told, found)
    if stamps() == before and time.time() - changed > SETTLED_S:
        with suppress(StoreError, OSError):  # without a cache folder it is read again
            write_text(memory, json.dumps({"stamps": told, "sha256": found}))
    return found


def _stamp(file: Path) -> list[Any]:
    """Path, size, times of modification and change (ns), inode."""
    state = os.stat(file)
    return [str(file.resolve()), state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]


def _memory(file: Path) -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(cache) / "benchsuite" / "content" / f"{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:32]}.json"
