"""Files and folders that bear their name only when they are whole: what was half written is deleted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchsuite.atomic import clear_disk_errors, fsync_path, temporary_name
from benchsuite.errors import StoreError


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a name beside a file or folder to write under; it takes the target's name on leaving without an exception.

    Otherwise what was written is deleted. Raises StoreError where the disk refuses.
    """
    temporary = temporary_name(target)
    try:
        with clear_disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            for path in [*temporary.rglob("*"), temporary] if temporary.is_dir() else [temporary]:
                fsync_path(path)
            _publish(temporary, target)
    except (OSError, RuntimeError) as error:
        raise StoreError(f"cannot write {target}: {error}; nothing half-written was left under that name") from error
    finally:
        _remove(temporary)


def _publish(temporary: Path, target: Path) -> None:
    old = temporary_name(target)
    if target.is_dir():
        os.rename(target, old)
    os.replace(temporary, target)
    fsync_path(target.parent)
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
