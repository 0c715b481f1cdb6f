"""The house: imports go one way, and what is tested is this checkout."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import benchsuite
from benchsuite import metrics, reconstructors, reports, scenarios

ROOT = Path(__file__).parents[1]
FOLDERS = ("scenarios", "reconstructors", "metrics", "reports")
BASE = ("atomic", "backend", "compiled", "contract", "data", "electrons", "errors", "fft_plans", "geometry", "params")
DATA_TYPES = {f"benchsuite.{name}" for name in BASE}
ALLOWED = {
    "reconstructors": {"reconstructors", *DATA_TYPES},
    "metrics": {"metrics", *DATA_TYPES},
    "reports": {"reports", "benchsuite.results", "benchsuite.data", "benchsuite.errors", "benchsuite.atomic"},
    "scenarios": {"scenarios"},
}
# the Cramér–Rao bound is a property of the forward model
BOUND = {"metrics/bound.py": {"reconstructors.multislice_orbitals", "benchsuite.physics.gaussians.atoms"}}
ENGINES = ("benchsuite/microscope/native.py", "benchsuite/microscope/incoherent.py")  # on kernels of the reconstructors
FREE = ("benchsuite/runner/", "benchsuite/cli.py", "benchsuite/pytest_plugin.py", *ENGINES)


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name for name in names if name.split(".")[0] == "benchsuite"}


@pytest.mark.parametrize("package", [benchsuite, metrics, reconstructors, reports, scenarios], ids=lambda p: p.__name__)
def test_packages_are_this_checkout(package):
    assert Path(next(iter(package.__path__))).resolve() == ROOT / package.__name__.rpartition(".")[2]


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_rooms_import_only_their_neighbours(package):
    for file in (ROOT / package).rglob("*.py"):
        for name in imported(file):
            neighbours = ALLOWED[package] | BOUND.get(str(file.relative_to(ROOT)), set())
            fits = any(name == allowed or name.startswith(allowed + ".") for allowed in neighbours)
            assert fits, f"{file.relative_to(ROOT)} imports {name}"


def test_only_the_runner_ties_the_rooms_together():
    for file in (ROOT / "benchsuite").rglob("*.py"):
        relative = str(file.relative_to(ROOT))
        if not relative.startswith(FREE):
            wrong = {name for name in imported(file) if name.split(".")[0] in ("reconstructors", "metrics", "reports")}
            assert not wrong, f"{relative} imports {wrong}"


def test_rooms_of_kernels_import_nothing_themselves():
    """A stage's key covers all that its modules import: an `__init__` that gathers a room would make all of it one."""
    for file in (ROOT / "reconstructors").rglob("__init__.py"):
        assert [type(node) for node in ast.parse(file.read_text(encoding="utf-8")).body] == [ast.Expr], file.relative_to(ROOT)


def test_cupy_is_imported_in_the_backend_alone():
    for package in ("benchsuite", *FOLDERS):
        for file in (ROOT / package).rglob("*.py"):
            if file.name == "backend.py":
                continue
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                assert not any(name.split(".")[0] == "cupy" for name in names), file
