"""`benchsuite check`: what it says of a good class, of bad ones, and of what is no class at all."""

from __future__ import annotations

import re
import sys

import pytest
from typer.testing import CliRunner

from benchsuite.check import checks, find_class
from benchsuite.cli import app
from benchsuite.errors import BenchsuiteError

CLASSES = """
import sys
from benchsuite.contract import Iterate, Preprocessing, Reconstructor
from benchsuite.params import Params
from benchsuite.reconstructors.wbp import WBP

class Raises(Reconstructor):
    title = "raises"
    reference = "none"
    Params = Params
    def reconstruct(self, series, context):
        raise RuntimeError("not today")
        yield

class Exits(Raises):
    def reconstruct(self, series, context):
        sys.exit("gone")
        yield

class Bare(Reconstructor):
    def reconstruct(self, series, context):
        yield Iterate(1, None)

class Doubtful(WBP):
    def reconstruct(self, series, context):
        assert len(series.data) == 3
        yield

class Abstract(Reconstructor):
    title = "nothing else"

class Foreign:
    pass

instance = Raises()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(CLASSES)
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "exits.py").write_text("raise SystemExit(3)\n")
    package = tmp_path / "my_pkg_of_checks"
    package.mkdir()
    (package / "__init__.py").write_text("from benchsuite.reconstructors.wbp import WBP as Mine\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    return tmp_path


def invoke(name):
    return CliRunner().invoke(app, ["check", name])


@pytest.mark.parametrize("name", ["wbp", "my_pkg_of_checks:Mine"])
def test_a_good_class_passes(folder, name):
    result = invoke(name)
    assert result.exit_code == 0, result.output
    assert "FAILS" not in result.output
    assert result.output.count("passes ") == 8
    assert result.output.endswith(f"{name}: 8 of 8 checks pass\n")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mine.py:Raises", r"RuntimeError: not today \(.*mine.py, line \d+\)"),
        ("mine:Exits", r"SystemExit: gone \(.*mine.py, line \d+\)"),
        ("mine.py:Bare", r"AttributeError: .*'title'"),
        ("mine.py:Doubtful", r"AssertionError \(.*mine.py, line \d+\)"),
    ],
)
def test_check_fails_with_the_exception_of_the_class(folder, name, reason):
    result = invoke(name)
    assert result.exit_code == 1
    assert re.search(reason, result.output), result.output
    failed = [line for line in result.output.splitlines() if line.startswith("FAILS")]
    assert 1 <= len(failed) < 9
    assert f"{8 - len(failed)} of 8 checks pass" in result.output


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mine.py:Raise", "did you mean 'Raises'"),
        ("mine.py:instance", "is a Raises, not a class"),
        ("mine.py:Foreign", "no subclass of benchsuite.contract.Reconstructor"),
        ("mine.py:Abstract", "does not implement reconstruct"),
        ("mine.py", "name a class"),
        ("gone.py:Any", "no such file"),
        ("broken.py:Any", r"cannot be imported: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("exits:Any", "cannot be imported: SystemExit: 3"),
        ("nowhere.at_all:Any", "cannot be imported: ModuleNotFoundError"),
        ("wpb", "did you mean 'wbp'"),
    ],
)
def test_check_names_what_is_not_a_class(folder, name, words):
    with pytest.raises(BenchsuiteError, match=words) as refused:
        find_class(name)
    assert refused.value.exit_status == 2


def test_preparations_are_checked_too():
    assert [result.reason for result in checks(find_class("background"))] == [""]
