"""benchsuite: benchmark suite for atomic electron tomography.

What a script, a notebook or a plugin needs are names of this package: after `import benchsuite as bs`, the steps of a scenario
(`bs.phantom`, `bs.simulate`, `bs.reconstruct`, `bs.trace`, `bs.score`), finished runs (`bs.Run`), and the base classes of all that
can be plugged in. A name is imported when it is first used, so that `import benchsuite` costs nothing.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

_STUB = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
API = {
    alias.name: f"{__name__}.{node.module}" for node in _STUB.body if isinstance(node, ast.ImportFrom) for alias in node.names
}  # public name: the module that defines it
__all__ = ["API", "__version__", *API]


def __getattr__(name: str) -> Any:
    if name not in API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(API[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
