"""What is said of a specimen before anything is simulated."""

from __future__ import annotations

import pytest

from benchsuite import registry
from benchsuite.errors import BenchsuiteError
from benchsuite.runner.plan import check_specimens
from benchsuite.scenario import load

BROKEN = """
from benchsuite.contract import Phantom
from benchsuite.params import Params

class Nothing(Phantom):
    Params = Params
    title, reference = "fails", "none"
    def build(self, rng):
        return helper()

def helper():
    return 1 / 0
"""


def test_a_phantom_that_fails_is_named_with_the_line_of_its_file(tmp_path, tiny_scenario):
    (tmp_path / "nothing.py").write_text(BROKEN)
    registry.load_plugin(tmp_path / "nothing.py")
    (tmp_path / "s.yaml").write_text(tiny_scenario)
    loaded = load(tmp_path / "s.yaml", overrides=["phantom={kind: nothing}"])
    with pytest.raises(BenchsuiteError, match=r"nothing\.py:12: phantom nothing: ZeroDivisionError: division by zero"):
        check_specimens(loaded)


def test_an_element_without_thermal_motion_is_named(tmp_path, tiny_scenario):
    (tmp_path / "s.yaml").write_text(tiny_scenario)
    moving = "acquisition.frozen_phonons={count: 1, rms_A: {Cu: 0.08}}"
    with pytest.raises(BenchsuiteError, match=r"frozen_phonons\.rms_A: no thermal displacement for Au, which"):
        check_specimens(load(tmp_path / "s.yaml", overrides=[moving]))
    check_specimens(load(tmp_path / "s.yaml"))
