"""The content-addressed store of stages: phantom → image → series → reconstruction → atoms → scores.

An entry lives at ROOT/stage/aa/INPUTS/CODE, where INPUTS hashes the canonical parameters with the upstream keys and CODE
the source that makes the stage. It is written under a temporary name, fsynced, sealed by a manifest with the SHA-256 of every
file, and renamed; it is read only after every checksum has been compared. A damaged entry is moved aside and counts as absent.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import logging
import os
import platform
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from benchsuite.atomic import TEMPORARY_PREFIX, clear_disk_errors, fsync_path

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
CORRUPT = "corrupt"
LOCKS = "locks"
LOCK_POLL_S = 0.1
CONCURRENT_FSYNCS = 16
ABANDONED_AFTER_S = 7 * 86_400.0  # of an entry that another machine has half written


def canonical(value: Any) -> str:
    """Return one JSON text per value: sorted keys, no spaces, floats by their shortest exact form."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(value: Any) -> str:
    """Return the SHA-256 (32 hex digits) of the canonical form."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Key:
    """Names one entry: the stage, what went in, and the code that made it."""

    stage: str
    inputs: str
    code: str

    def __str__(self) -> str:
        return f"{self.stage}/{self.inputs}/{self.code}"

    @classmethod
    def parse(cls, text: str) -> Key:
        stage, inputs, code = text.split("/")
        return cls(stage, inputs, code)

    @classmethod
    def of(cls, stage: str, inputs: Mapping[str, Any], upstream: Sequence[Key], code: Mapping[str, str]) -> Key:
        """Make the key from resolved parameters, upstream keys and a `code_version` mapping."""
        return cls(stage, digest({"inputs": inputs, "upstream": [str(key) for key in upstream]}), digest(code)[:16])


class Store:
    """A folder of entries. Any number of processes may read and write at once; equal keys hold equal content."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).absolute()

    def path(self, key: Key) -> Path:
        """Return where the entry is, or would be."""
        return self.root / key.stage / key.inputs[:2] / key.inputs / key.code

    def has(self, key: Key) -> bool:
        """Whether a sealed entry is there. Its checksums are compared when it is opened, not here."""
        return (self.path(key) / MANIFEST).is_file()

    def open(self, key: Key) -> Path | None:
        """Return the entry's folder once every checksum has been compared; None if absent or (moved aside) damaged."""
        folder = self.path(key)
        if not (folder / MANIFEST).is_file():
            return None
        damage = find_damage(folder)
        if damage is None:
            return folder
        log.warning("store entry %s is damaged (%s): moved to %s/ and recomputed", key, damage, CORRUPT)
        self._set_aside(folder, key)
        return None

    def read(self, key: Key, name: str) -> bytes | None:
        """Return one file of an entry, once its own checksum and that of the manifest have been compared; None otherwise."""
        folder = self.path(key)
        try:
            data = (folder / name).read_bytes()
            return data if hashlib.sha256(data).hexdigest() == _sealed(folder)["files"][name] else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def manifest(self, key: Key) -> dict[str, Any]:
        """Return the manifest of an entry that `has` reported."""
        return json.loads((self.path(key) / MANIFEST).read_text(encoding="utf-8"))

    def other_code(self, key: Key) -> dict[str, str] | None:
        """Return the code version of a sealed entry with equal inputs but other code, or None where there is none."""
        siblings = [f for f in self.path(key).parent.glob(f"*/{MANIFEST}") if f.parent.name != key.code]
        if not siblings:
            return None
        latest = max(siblings, key=lambda file: file.stat().st_mtime)
        try:
            return dict(json.loads(latest.read_text(encoding="utf-8"))["code"])
        except (ValueError, KeyError):
            return {}

    def discard(self, key: Key) -> None:
        """Delete an entry that is no longer wanted; nothing happens where there is none."""
        folder = self.path(key)
        with clear_disk_errors(self.root):
            if folder.exists():
                aside = _temporary(folder)
                os.rename(folder, aside)  # at once gone as an entry, whatever happens to its files
                shutil.rmtree(aside, ignore_errors=True)

    @contextmanager
    def making(self, key: Key, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold the right to make an entry, which one process has at a time; `waiting` is called while another one has it.

        The right ends with its process. On a file system without locks everybody has it: entries are then made more than once,
        with the same content.
        """
        file = self.root / LOCKS / digest(str(key))
        with clear_disk_errors(self.root):
            file.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(file, mode=0o666, fallback_to_soft=False)
            _acquire(lock, waiting)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)  # who waits for a file that is gone makes another one
            lock.release()

    @contextmanager
    def writing(self, key: Key, about: Mapping[str, Any]) -> Iterator[Path]:
        """Yield a temporary folder to fill; on leaving without an exception it becomes the entry, otherwise it vanishes.

        Raises StoreError on a full disk or a read-only folder.
        """
        final = self.path(key)
        temporary = _temporary(final)
        with clear_disk_errors(self.root):
            try:
                temporary.mkdir(parents=True)
                yield temporary
                _seal(temporary, key, about)
                self._publish(temporary, final)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    def _publish(self, temporary: Path, final: Path) -> None:
        try:
            os.rename(temporary, final)
        except OSError:
            if find_damage(final) is None:
                return  # another process was first, with the same content
            self._set_aside(final, None)
            os.rename(temporary, final)
        fsync_path(final.parent)

    def _set_aside(self, folder: Path, key: Key | None) -> None:
        target = self.root / CORRUPT / f"{key.stage if key else folder.parent.name}-{uuid.uuid4().hex}"
        with clear_disk_errors(self.root):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.rename(folder, target)
            except FileNotFoundError:
                return  # another process moved it first

    def sweep_temporaries(self) -> int:
        """Delete what killed writers left behind and return how many folders that were.

        Those of processes of this machine that are gone, and of other machines those that nobody has touched for days.
        """
        abandoned = [folder for folder in self.root.glob(f"*/*/*/{TEMPORARY_PREFIX}*") if _is_abandoned(folder)]
        for folder in abandoned:
            shutil.rmtree(folder, ignore_errors=True)
        return len(abandoned)


def find_damage(folder: Path) -> str | None:
    """Return what is wrong with an entry (missing, added, changed or unreadable files), or None if it is whole."""
    try:
        expected = _sealed(folder)["files"]
        present = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}
        present.pop(MANIFEST)
        if set(present) != set(expected):
            return f"files {sorted(set(present) ^ set(expected))[:3]} missing or added"
        for name, file in present.items():
            if _sha256(file) != expected[name]:
                return f"checksum of {name} differs"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _acquire(lock: FileLock, waiting: Callable[[], None]) -> None:
    while True:
        try:
            lock.acquire(blocking=False)
            return
        except Timeout:
            waiting()
            time.sleep(LOCK_POLL_S)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            return


def _sealed(folder: Path) -> dict[str, Any]:
    """The manifest of an entry. Raises ValueError where it is not as it was sealed."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if manifest.get("seal") != digest({name: value for name, value in manifest.items() if name != "seal"}):
        raise ValueError("manifest changed")
    return manifest


def _seal(folder: Path, key: Key, about: Mapping[str, Any]) -> None:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    body = {**about, "key": str(key), "files": {str(file.relative_to(folder)): _sha256(file) for file in files}}
    manifest = folder / MANIFEST
    manifest.write_text(json.dumps({**body, "seal": digest(body)}, indent=1), encoding="utf-8")
    with ThreadPoolExecutor(CONCURRENT_FSYNCS) as pool:  # together: the file system commits them as one
        list(pool.map(fsync_path, [*files, manifest, *(sub for sub in folder.rglob("*") if sub.is_dir()), folder]))


def _sha256(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@functools.cache
def _machine() -> str:
    """A name for this machine: a store may be shared by several, each with its own process ids."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _temporary(final: Path) -> Path:
    return final.parent / f"{TEMPORARY_PREFIX}{os.getpid()}-{_machine()}-{uuid.uuid4().hex}"


def _is_abandoned(folder: Path) -> bool:
    pid, machine, *_ = [*folder.name.removeprefix(TEMPORARY_PREFIX).split("-"), ""]
    if machine == _machine():
        return not (pid.isdigit() and _is_running(int(pid)))
    try:
        return time.time() - folder.stat().st_mtime > ABANDONED_AFTER_S
    except FileNotFoundError:
        return False


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
