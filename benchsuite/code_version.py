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

from benchsuite import API

PACKAGE = "benchsuite"
CARRIERS = frozenset(
    f"benchsuite.{name}"
    for name in (
        "atomic", "code_version", "contract.figure", "contract.settings", "errors", "measured.settings", "registry", "scenario",
        "storage", "store", "runner.loop", "runner.memory", "runner.stages", "runner.stages.base",
    )
) | {PACKAGE}  # they carry parameters and bytes and find classes, but decide no number; parameters are in the keys  # fmt: skip


@dataclass(frozen=True)
class Source:
    """What a file says: its hash, and the names that it imports."""

    hash: str
    imports: tuple[str, ...]


class CodeVersions:
    """The versions of files as they were at the first look, and those that are held whatever becomes of the files."""

    def __init__(self) -> None:
        self._held: dict[str | Path, Source | None] = {}  # by the name of a module, or the path of a plugin
        self.look_again()

    def look_again(self) -> None:
        """Notice files that have changed since the first look; what is held stays."""
        self._versions: dict[frozenset[str], dict[str, str]] = {}
        self._modules: dict[str, Source | None] = {}
        self._files: dict[Path, Source] = {}

    def code_version(self, modules: Iterable[str]) -> dict[str, str]:
        """Return {module: hash} of the given modules and of every module of this project that they import, however deep."""
        names = frozenset(modules)
        if names not in self._versions:
            self._versions[names] = self._version(names)
        return dict(self._versions[names])

    def file_version(self, path: str | Path) -> dict[str, str]:
        """Return {name: hash} for a plugin file and everything of this project that it imports."""
        file = Path(path)
        source = self._file(file)
        return {f"plugin:{file.name}": source.hash, **self.code_version(source.imports)}

    def project_version(self) -> dict[str, str]:
        """Return {file: hash} of all source files of this project that decide numbers."""
        root = Path(__file__).parent
        found = (Path(folder) / name for folder, _, names in os.walk(root, followlinks=True) for name in names)
        files = {str(file.relative_to(root)): file for file in found if file.suffix == ".py"}
        return {name: self._file(file).hash for name, file in sorted(files.items()) if not name.startswith("reports/")}

    def hold_imported(self, files: Iterable[str | Path] = ()) -> None:
        """Hold on to the version of what this process has imported: modules of this project, and the given plugin files."""
        imported = imported_files()
        for file in map(Path, files):
            self._held[file] = self._file(file)
        remaining = [*imported, *(name for held in self._held.values() if held for name in held.imports)]
        visited = set[str]()
        while remaining:
            name = remaining.pop()
            if name not in visited:
                visited.add(name)
                source = self._module(name)
                remaining += source.imports if source else ()
                if source is None or name in imported:  # one that is not there is not looked for again
                    self._held[name] = source

    def _version(self, modules: frozenset[str]) -> dict[str, str]:
        remaining, found = list(modules), dict[str, str]()
        while remaining:
            module = remaining.pop()
            if module in found or module in CARRIERS or module.startswith("benchsuite.scenario."):
                continue
            source = self._module(module)
            if source is not None:
                found[module] = source.hash
                remaining += source.imports
        return dict(sorted(found.items()))

    def _module(self, name: str) -> Source | None:
        """The source of a module of this project; None for all others, and for names that are not modules."""
        if name in self._held:
            return self._held[name]
        if name not in self._modules:
            file = _module_file(name)
            self._modules[name] = None if file is None else self._file(file)
        return self._modules[name]

    def _file(self, file: Path) -> Source:
        if file not in self._files:
            self._files[file] = self._held.get(file) or _read(file, file.stat().st_mtime_ns)
        return self._files[file]


PROCESS = CodeVersions()  # of this process, which runs one version of the code
code_version, file_version, project_version = PROCESS.code_version, PROCESS.file_version, PROCESS.project_version
look_again, hold_imported = PROCESS.look_again, PROCESS.hold_imported


def imported_files() -> dict[str, Path]:
    """Return {module: file} of what this process has imported of this project."""
    modules = [(name, module) for name, module in list(sys.modules.items()) if name.split(".")[0] == PACKAGE]
    return {name: Path(file) for name, module in modules if (file := getattr(module, "__file__", None))}


def _module_file(name: str) -> Path | None:
    if name.split(".")[0] != PACKAGE:
        return None
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


@functools.cache
def _read(file: Path, _stamp: int) -> Source:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imports = tuple(sorted({*_imported_names(tree), *_names_of_the_package(tree)}))
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


def _names_of_the_package(tree: ast.Module) -> Iterator[str]:
    """The modules behind public names: `from benchsuite import Projector`, or `bs.Projector` after `import benchsuite as bs`."""
    nodes = list(ast.walk(tree))
    bound = set[str]()
    for alias in (alias for node in nodes if isinstance(node, ast.Import) for alias in node.names):
        if alias.name == PACKAGE and alias.asname:
            bound.add(alias.asname)
        elif alias.name.split(".")[0] == PACKAGE and not alias.asname:
            bound.add(PACKAGE)
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE and node.level == 0:
            for alias in node.names:
                yield from API.values() if alias.name == "*" else [API.get(alias.name, f"{PACKAGE}.{alias.name}")]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in bound:
            yield API.get(node.attr, f"{PACKAGE}.{node.attr}")
