"""The version of the code behind a result is that of all that it imports, under whichever name."""

from __future__ import annotations

import os

import pytest

from benchsuite import API
from benchsuite.code_version import CodeVersions, code_version, file_version, look_again

PROJECTOR = "benchsuite.physics.projection.projector"


def test_code_version_follows_imports():
    versions = code_version(["benchsuite.reconstructors.resire"])
    wanted = ("reconstructors.resire", "physics.projection.projector", "physics.projection.cpu")
    assert {f"benchsuite.{name}" for name in wanted} <= set(versions)
    assert not {"benchsuite.runner.run", "benchsuite.reconstructors.genfire", "benchsuite.storage"} & set(versions)


def test_code_version_ignores_comments_and_sees_numbers(tmp_path):
    file = tmp_path / "plugin.py"
    file.write_text("X = 1\n")
    first = file_version(file)
    file.write_text('"""A docstring."""\n\n# a comment\nX  =  1\n')
    os.utime(file, ns=(1, 1))
    look_again()
    assert file_version(file) == first
    file.write_text("X = 2\n")
    os.utime(file, ns=(2, 2))
    assert file_version(file) == first, "a file counts as it was at the first look"
    look_again()
    assert file_version(file) != first


@pytest.mark.parametrize(
    "text",
    [
        "from benchsuite import Projector\n",
        "from benchsuite import Projector as P\n",
        "import benchsuite as bs\n\ndef f():\n    return bs.Projector\n",
        "import benchsuite\n\nclass A(benchsuite.Reconstructor):\n    made = benchsuite.Projector\n",
        "from benchsuite import *\n",
    ],
)
def test_public_name_counts_as_the_module_behind_it(tmp_path, text):
    (tmp_path / "plugin.py").write_text(text)
    versions = CodeVersions().file_version(tmp_path / "plugin.py")
    assert {PROJECTOR, "benchsuite.physics.projection.cpu"} <= set(versions)
    assert "benchsuite" not in versions


def test_public_names_that_are_not_used_do_not_count(tmp_path):
    (tmp_path / "plugin.py").write_text("import benchsuite as bs\nimport other\n\nx = bs.Reconstructor, other.Projector\n")
    versions = CodeVersions().file_version(tmp_path / "plugin.py")
    assert API["Reconstructor"] in versions
    assert PROJECTOR not in versions


def test_settings_are_in_the_keys_and_not_in_the_version(tmp_path):
    (tmp_path / "plugin.py").write_text("from benchsuite import Microscope\nfrom benchsuite.scenario import Cell\n")
    assert list(CodeVersions().file_version(tmp_path / "plugin.py")) == ["plugin:plugin.py"]


def test_held_version_is_that_of_one_process_only(tmp_path):
    file = tmp_path / "plugin.py"
    file.write_text("X = 1\n")
    server, runner = CodeVersions(), CodeVersions()
    server.hold_imported([file])
    before = runner.file_version(file)
    file.write_text("X = 2\n")
    os.utime(file, ns=(1, 1))
    for versions in (server, runner):
        versions.look_again()
    assert server.file_version(file) == before
    assert runner.file_version(file) != before
