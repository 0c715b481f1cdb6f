"""The built package: one namespace, all files, and no confusion with a user's own `metrics.py`, `reports/` and the like."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("metrics", "reconstructors", "reports", "scenarios")
SCENARIO = """\
schema: 1
name: small
phantom: {kind: core_shell, atoms: 13, shell_layers: 1}
simulation: {engine: incoherent, sampling_A: 0.2}
microscope: {semiangle_mrad: 20}
acquisition:
  tilts: {angles_deg: [0, 60]}
  scan: {step_A: 0.8, positions: [16, 16]}
  detector: {inner_mrad: 21, outer_mrad: 25}
reconstructors: [genfire]
analysis: {species: [Cu, Au]}
figures: [slice_grid]
"""
SCRIPT = """\
import metrics, reconstructors, reports, scenarios
from benchsuite.metrics.matching.match import match
from benchsuite.results import Run
import benchsuite
assert all(module.MINE for module in (metrics, reconstructors, reports, scenarios))
assert list(Run("out").table["status"]) == ["ok"]
print(benchsuite.__file__)
"""
MODULES = """\
import importlib, pkgutil, sys
from pathlib import Path
import benchsuite
for module in pkgutil.walk_packages(benchsuite.__path__, "benchsuite."):
    importlib.import_module(module.name)
files = {}
for name, module in list(sys.modules.items()):
    file = getattr(module, "__file__", None)
    if file and name != "__main__":
        files.setdefault(str(Path(file).resolve()), set()).add(name)
inside = str(Path(benchsuite.__file__).resolve().parents[1])
print([sorted(names) for file, names in files.items() if file.startswith(inside) and "benchsuite" in str(names) and len(names) > 1])
"""


def build(folder, out, target):
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (file,) = out.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return file


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def installed(tmp_path_factory, wheel, cli_run):
    """(command line, folder): the wheel in an environment that sees the test's libraries, and a folder of decoys with a script."""
    folder = tmp_path_factory.mktemp("installed")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    paths = sysconfig.get_paths(vars={"base": str(environment), "platbase": str(environment)})
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(paths["purelib"])
    libraries = [path for path in sys.path if path.endswith("site-packages")] or site.getsitepackages()
    Path(paths["purelib"], "libraries.pth").write_text("\n".join(libraries))
    mine = folder / "mine"
    for name in ("reports", "reconstructors"):
        (mine / name).mkdir(parents=True)
        (mine / name / "__init__.py").write_text("MINE = True\n")
    for name in ("metrics", "scenarios"):
        (mine / f"{name}.py").write_text("MINE = True\n")
    (mine / "small.yaml").write_text(SCENARIO)
    (mine / "script.py").write_text(SCRIPT)
    (mine / "test_mine.py").write_text("def test_script():\n    import script\n")
    return type(cli_run)(environment / "bin" / "python"), mine


def python(installed, *words):
    command_line, folder = installed
    done = subprocess.run([command_line.python, *words], cwd=folder, env=beside_decoys(folder), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def beside_decoys(folder):
    return {**os.environ, "PYTHONPATH": str(folder)}


def test_the_wheel_holds_one_namespace_with_the_linked_folders(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"benchsuite"}
    for folder in FOLDERS:
        files = {
            str(file.relative_to(ROOT)) for file in (ROOT / folder).rglob("*") if file.is_file() and "__pycache__" not in str(file)
        }
        assert files <= {name.removeprefix("benchsuite/") for name in names}


def test_a_wheel_from_the_source_archive_is_the_same(wheel, tmp_path):
    with tarfile.open(build(ROOT, tmp_path, "sdist")) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = (path for path in tmp_path.iterdir() if path.is_dir())
    (tmp_path / "again").mkdir()
    again = build(source, tmp_path / "again", "wheel")
    contents = [{info.filename: info.CRC for info in zipfile.ZipFile(file).infolist()} for file in (wheel, again)]
    assert contents[0] == contents[1]


def test_an_installed_wheel_runs_beside_decoys(installed):
    command_line, folder = installed
    env = beside_decoys(folder)
    assert "valid" in command_line(folder, "validate", "quickstart", env=env).stdout
    command_line(folder, "run", "small.yaml", "--out", "out", env=env)
    assert list(pd.read_csv(folder / "out" / "results.csv")["status"]) == ["ok"]
    assert (folder / "out" / "report" / "index.html").is_file()
    assert str(folder.parent / "environment") in python(installed, "script.py")
    assert "1 passed" in python(installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py")


def test_every_file_is_one_module(installed):
    assert python(installed, "-c", MODULES).strip() == "[]"
