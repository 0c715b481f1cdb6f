"""The version of the code behind a result: hashes of the source that a module uses, whitespace and comments aside.

A stage's key contains this, so that a changed algorithm is never answered from an old result, and an edited comment is.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGES = ("benchsuite", "reconstructors", "metrics")
CARRIERS = frozenset(
    f"benchsuite.{name}"
    for name in (
        "atomic", "code_version", "errors", "registry", "scenario", "storage", "store",
        "runner.loop", "runner.memory", "runner.stages", "runner.stages.base",
    )
)  # they carry parameters and bytes and find classes, but decide no number; parameters are in the keys  # fmt: skip


def code_version(modules: Iterable[str]) -> dict[str, str]:
    """Return {module: hash} of the given modules and of every module of this project that they import, however deep."""
    todo, found = list(modules), dict[str, str]()
    while todo:
        module = todo.pop()
        if module in found or module in CARRIERS or module.startswith("benchsuite.scenario."):
            continue
        file = _source_file(module)
        if file is None:
            continue
        found[module] = _file_hash(file, file.stat().st_mtime_ns)
        todo += _imports(file, file.stat().st_mtime_ns)
    return dict(sorted(found.items()))


def file_version(path: str | Path) -> dict[str, str]:
    """Return {name: hash} for a plugin file and everything of this project that it imports."""
    file = Path(path)
    stamp = file.stat().st_mtime_ns
    return {f"plugin:{file.name}": _file_hash(file, stamp), **code_version(_imports(file, stamp))}


def _source_file(module: str) -> Path | None:
    if module.split(".")[0] not in PACKAGES:
        return None
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


@functools.cache
def _tree(file: Path, _stamp: int) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@functools.cache
def _file_hash(file: Path, stamp: int) -> str:
    return hashlib.sha256(ast.dump(_without_docstrings(_tree(file, stamp))).encode()).hexdigest()[:16]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                node.body = node.body[1:] or [ast.Pass()]
    return tree


@functools.cache
def _imports(file: Path, stamp: int) -> tuple[str, ...]:
    return tuple(sorted(set(_imported_names(_tree(file, stamp)))))


def _imported_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
