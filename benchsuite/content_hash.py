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
from contextlib import suppress
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from benchsuite.atomic import write_text
from benchsuite.errors import BenchsuiteError, StoreError

log = logging.getLogger(__name__)

MIN_AGE_S = 2.0  # of the last change of a file whose hash is remembered
LARGE_BYTES = 5_000_000_000  # of files whose reading is announced


class ContentHashes:
    """The hashes of files and folders, with those that this process has computed."""

    def __init__(self) -> None:
        self._computed: dict[str, tuple[str, str]] = {}  # by path: the digest of the stamps, and the hash

    def content_hash(self, path: Path) -> str:
        """Return the SHA-256 of a file, or of the names and contents of all files in a folder.

        Raises BenchsuiteError where something cannot be read.
        """
        try:
            return self._remembered(path)
        except OSError as error:
            raise BenchsuiteError(f"{error.filename or path}: cannot be read: {error.strerror}") from error

    def _remembered(self, path: Path) -> str:
        """Return the hash that was computed when the stamps were the same, or compute and remember it."""
        before = _stamps(path)
        stamps = hashlib.sha256(json.dumps(before).encode()).hexdigest()
        if self._computed.get(str(path), ("", ""))[0] == stamps:
            return self._computed[str(path)][1]
        memory = _memory(path)
        with suppress(OSError, ValueError, KeyError, TypeError):
            remembered = json.loads(memory.read_text(encoding="utf-8"))
            if remembered["stamps"] == stamps:
                return str(remembered["sha256"])
        size = sum(stamp[1] for stamp in before)
        if size > LARGE_BYTES:
            log.warning("reading %s once for its hash (%.0f GB)", path, size / 1e9)
        found = _computed_hash(path)
        changed_s = max((stamp[3] for stamp in before), default=0) / 1e9
        self._computed[str(path)] = (stamps, found)
        if _stamps(path) == before and time.time() - changed_s > MIN_AGE_S:
            with suppress(StoreError, OSError):  # without a cache folder it is read again
                write_text(memory, json.dumps({"stamps": stamps, "sha256": found}))
        return found


content_hash = ContentHashes().content_hash


def content_stamp(path: Path) -> list[Any]:
    """Return something that differs when a file, or a file right in a folder, was changed; empty where there is nothing."""
    try:
        return [_stamp(path), *(_stamp(file) for file in sorted(path.glob("*")) if file.is_file())]
    except (OSError, ValueError):
        return []


def _files_in(folder: Path) -> list[Path]:
    return sorted(Path(base) / name for base, _, names in os.walk(folder) for name in names)


def _computed_hash(path: Path) -> str:
    if not path.is_dir():
        return _sha256(path)
    total = hashlib.sha256()
    for file in _files_in(path):
        total.update(f"{file.relative_to(path)}\0{_sha256(file)}\n".encode())
    return total.hexdigest()


def _sha256(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _stamps(path: Path) -> list[list[Any]]:
    return [_stamp(file) for file in (_files_in(path) if path.is_dir() else [path])]


def _stamp(file: Path) -> list[Any]:
    """Path, size, times of modification and change (ns), inode."""
    state = os.stat(file)
    return [str(file.resolve()), state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]


def _memory(file: Path) -> Path:
    name = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:32]
    return user_cache_path("benchsuite") / "content" / f"{name}.json"
