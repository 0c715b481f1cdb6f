"""What runner and workers of a cluster must agree on: a shared store, one version of the code, the same plugins.

The runner writes its terms into the store. A worker that can read them there shares the store, and compares the rest.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchsuite import registry
from benchsuite.atomic import clear_disk_errors, write_text
from benchsuite.code_version import imported_files, look_again, project_version
from benchsuite.errors import BenchsuiteError

log = logging.getLogger(__name__)

FOLDER = "cluster"  # in the store
LAST_BIT_LIBRARIES = ("numba", "numpy", "pyfftw", "scikit-image", "scipy")  # libraries that may change a last bit
NEW_FILE_TIMEOUT_S = 5.0  # for a network file system to show it
TERMS_LIFETIME_S = 30 * 86_400.0
_IMPORTED = time.time()


def write_terms(store: Path, plugins: Sequence[str]) -> Path:
    """Write the terms of a run, and copies of its plugins, into the store; return the file of the terms."""
    for old in (store / FOLDER).glob("*.json"):
        if time.time() - old.stat().st_mtime > TERMS_LIFETIME_S:
            old.unlink(missing_ok=True)
    copies = {}
    for plugin in plugins:
        content = Path(plugin).read_bytes()
        checksum = hashlib.sha256(content).hexdigest()
        copy = store / FOLDER / "plugins" / checksum[:16] / Path(plugin).name
        write_text(copy, content.decode())
        copies[plugin] = {"sha256": checksum, "copy": str(copy)}
    file = store / FOLDER / f"{uuid.uuid4().hex}.json"
    in_keys = registry.libraries()
    libraries = {name: _version(name) for name in (*in_keys, *LAST_BIT_LIBRARIES)}
    write_text(file, json.dumps({"code": project_version(), "libraries": libraries, "in_keys": in_keys, "plugins": copies}))
    return file


def agree(file: str) -> None:
    """Compare this machine with the terms. Raises BenchsuiteError with what differs."""
    terms = _read(file)
    _check_writable(Path(file).parent)
    newer = sorted(name for name, file in imported_files().items() if file.stat().st_mtime > _IMPORTED)
    if newer:
        raise BenchsuiteError(f"{newer[0]} has changed since this worker began; start the worker again")
    look_again()
    own, theirs = project_version(), terms["code"]
    changed = sorted(name for name in {*own, *theirs} if own.get(name) != theirs.get(name))
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise BenchsuiteError(f"other code in {', '.join(changed[:3])}{more}; install there what the runner has")
    for name, asked in terms["libraries"].items():
        found = _version(name)
        if found != asked and name in terms["in_keys"]:
            raise BenchsuiteError(f"{name} {found}, the runner has {asked}; install the same version there")
        if found != asked:
            log.warning("%s %s, the runner has %s: results may differ in the last bits", name, found, asked)


@functools.lru_cache(maxsize=16)
def agreed(file: str) -> Mapping[str, str]:
    """Return where a worker finds each plugin, by the runner's path, once it has agreed to the terms. Raises BenchsuiteError."""
    agree(file)
    return {path: _plugin_here(path, **plugin) for path, plugin in _read(file)["plugins"].items()}


def _plugin_here(path: str, sha256: str, copy: str) -> str:
    """The runner's own path where the same content is there: a plugin may read files beside it."""
    here = Path(path)
    return path if here.is_file() and hashlib.sha256(here.read_bytes()).hexdigest() == sha256 else copy


def _read(file: str) -> dict[str, Any]:
    deadline = time.monotonic() + NEW_FILE_TIMEOUT_S
    while True:
        try:
            return json.loads(Path(file).read_text(encoding="utf-8"))
        except OSError as error:
            if time.monotonic() > deadline:
                raise BenchsuiteError(f"cannot read {file} ({error.strerror}); all must share the disk of the store") from None
        time.sleep(0.2)


def _check_writable(folder: Path) -> None:
    probe = folder / f".probe-{os.getpid()}-{uuid.uuid4().hex}"
    with clear_disk_errors(folder):
        probe.mkdir()
        shutil.rmtree(probe, ignore_errors=True)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
