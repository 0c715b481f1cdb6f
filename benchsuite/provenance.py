"""Where a result comes from: versions, commit, machine, time."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

import benchsuite
from benchsuite.physics.backend import processor

LIBRARIES = (
    "abtem", "ase", "cupy-cuda12x", "cupy-cuda13x", "dask", "distributed", "matplotlib", "numba", "numpy",
    "pandas", "pydantic", "scikit-image", "scipy", "zarr",
)  # fmt: skip


def provenance() -> dict[str, Any]:
    """Return versions, git commit with its dirty flag, hardware and time, as JSON-able values."""
    return {
        "benchsuite": benchsuite.__version__,
        **_git(Path(benchsuite.__file__).parent),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_GB": round(psutil.virtual_memory().total / 1e9, 1),
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git(folder: Path) -> dict[str, Any]:
    def ask(*words: str) -> str | None:
        try:
            answer = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return answer.stdout.strip()

    commit = ask("rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(ask("status", "--porcelain")) if commit else None}
