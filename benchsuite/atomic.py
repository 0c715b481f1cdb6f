"""Writing a file so that a reader finds the old one or the new one, whole, whatever happens in between.

Temporary name in the same folder, flush, fsync, rename, fsync of the folder: without the last two a power cut or kill can
leave an empty file under the final name.
"""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchsuite.errors import StoreError

TEMPORARY_PREFIX = ".tmp-"


@contextmanager
def clear_disk_errors(what: str | Path) -> Iterator[None]:
    """Turn the operating system's refusals (full disk, read-only folder) into a StoreError that names the path."""
    try:
        yield
    except OSError as error:
        reasons = {
            errno.ENOSPC: "the disk is full",
            errno.EDQUOT: "the disk quota is used up",
            errno.EFBIG: "files may not be that large (see ulimit -f)",
            errno.EROFS: "the file system is read-only",
            errno.EACCES: "permission denied",
            errno.EPERM: "permission denied",
            errno.ENOTDIR: "a part of this path is a file, not a folder",
        }
        reason = reasons.get(error.errno or 0)
        if reason is None:
            if not str(error.filename or "").startswith(str(what)):
                raise
            reason = error.strerror or str(error)
        raise StoreError(f"cannot write {what}: {reason}; nothing half-written was left under that name") from error


def fsync_path(path: Path) -> None:
    """Force a file or a folder's directory entry to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_name(path: Path) -> Path:
    """Return an unused name beside `path` that readers ignore."""
    return path.parent / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"


def write_bytes(path: str | Path, data: bytes) -> None:
    """Replace the file by `data`, atomically and durably. Makes the folder. Raises StoreError on a full or read-only disk."""
    target = Path(path)
    with clear_disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_name(target)
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
            fsync_path(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Replace the file by UTF-8 text, atomically and durably."""
    write_bytes(path, text.encode())
