"""The version of the code behind a result: hashes of the source that a module uses, whitespace and comments aside.

A stage's key contains this, so that a changed algorithm is never answered from an old result, and an edited comment is.
A file counts as it is at the first look, until `look_again`: all keys of a run are of one version, and a process that has imported
a module can hold on to the version that it has imported.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "benchsuite"
CARRIERS = frozenset(
    f"benchsuite.{name}"
    for name in (
        "atomic", "code_version", "contract.figure", "errors", "registry", "scenario", "storage", "store",
        "runner.loop", "runner.memory", "runner.stages", "runner.stages.base",
    )
)  # they carry parameters and bytes and find classes, but decide no number; parameters are in the keys  # fmt: skip


@dataclass(frozen=True)
class Source:
    """What a file says: its hash, and the names that it imports."""

    hash: str
    imports: tuple[str, ...]


def code_version(modules: Iterable[str]) -> dict[str, str]:
    """Return {module: hash} of the given modules and of every module of this project that they import, however deep."""
    return dict(_all_of(frozenset(modules)))


def file_version(path: str | Path) -> dict[str, str]:
    """Return {name: hash} for a plugin file and everything of this project that it imports."""
    file = Path(path)
    source = _file(file)
    return {f"plugin:{file.name}": source.hash, **code_version(source.imports)}


def project_version() -> dict[str, str]:
    """Return {file: hash} of all source files of this project that decide numbers."""
    root = Path(__file__).parent
    files = (Path(folder) / name for folder, _, names in os.walk(root, followlinks=True) for name in names if name.endswith(".py"))
    relative = {str(file.relative_to(root)): file for file in files}
    return {name: _file(file).hash for name, file in sorted(relative.items()) if not name.startswith("reports/")}


def imported_files() -> dict[str, Path]:
    """Return {module: file} of what this process has imported of this project."""
    modules = [(name, module) for name, module in list(sys.modules.items()) if name.split(".")[0] == PACKAGE]
    return {name: Path(file) for name, module in modules if (file := getattr(module, "__file__", None))}


def look_again() -> None:
    """Notice files that have changed since the first look; what is held stays."""
    for cached in (_all_of, _module, _file):
        cached.cache_clear()


def hold_imported(files: Iterable[str | Path] = ()) -> None:
    """Hold on to the version of what this process has imported: all modules of this project, and the given plugin files."""
    imported = imported_files()
    for file in map(Path, files):
        _held[file] = _file(file)
    todo, seen = [*imported, *(name for held in _held.values() if held for name in held.imports)], set[str]()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            source = _module(name)
            todo += source.imports if source else ()
            if source is None or name in imported:  # one that is not there is not looked for again
                _held[name] = source


_held: dict[str | Path, Source | None] = {}  # by the name of a module, or the path of a plugin


@functools.cache
def _all_of(modules: frozenset[str]) -> dict[str, str]:
    todo, found = list(modules), dict[str, str]()
    while todo:
        module = todo.pop()
        if module in found or module in CARRIERS or module.startswith("benchsuite.scenario."):
            continue
        source = _module(module)
        if source is not None:
            found[module] = source.hash
            todo += source.imports
    return dict(sorted(found.items()))


@functools.cache
def _module(name: str) -> Source | None:
    """The source of a module of this project; None for all others, and for names that are not modules."""
    if name in _held:
        return _held[name]
    if name.split(".")[0] != PACKAGE:
        return None
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return _file(Path(spec.origin)) if spec and spec.origin and spec.origin.endswith(".py") else None


@functools.cache
def _file(file: Path) -> Source:
    held = _held.get(file)
    return held or _read(file, file.stat().st_mtime_ns)


@functools.cache
def _read(file: Path, _stamp: int) -> Source:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imports = tuple(sorted(set(_imported_names(tree))))
    return Source(hashlib.sha256(ast.dump(_without_docstrings(tree)).encode()).hexdigest()[:16], imports)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                node.body = node.body[1:] or [ast.Pass()]
    return tree


def _imported_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
