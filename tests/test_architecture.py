"""The house: one namespace, whose packages are this checkout; the layers of imports are contracts in pyproject.toml."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("scenarios", "reconstructors", "metrics", "reports")


@pytest.mark.parametrize("folder", FOLDERS)
def test_packages_are_the_folders_of_this_checkout(folder):
    package = importlib.import_module(f"benchsuite.{folder}")
    assert Path(next(iter(package.__path__))).resolve() == ROOT / folder


@pytest.mark.parametrize("folder", ["benchsuite/physics", "reconstructors"])
def test_packages_with_kernels_import_nothing_themselves(folder):
    """A stage's key covers all that its modules import: an `__init__` that gathers a package would make all of it one."""
    for file in (ROOT / folder).rglob("__init__.py"):
        assert all(type(node) is ast.Expr for node in ast.parse(file.read_text(encoding="utf-8")).body), file.relative_to(ROOT)


def test_cupy_is_imported_in_the_backend_alone():
    for folder in ("benchsuite", *FOLDERS):
        for file in (ROOT / folder).rglob("*.py"):
            if file.name == "backend.py":
                continue
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                assert not any(name.split(".")[0] == "cupy" for name in names), file
