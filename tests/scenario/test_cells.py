"""Cells travel to workers as JSON and are there what they were."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from benchsuite import registry
from benchsuite.errors import UnknownNameError
from benchsuite.scenario import Cell, load

PLUGIN = """
from benchsuite.contract import Reconstructor
from benchsuite.params import Params


class Wire(Reconstructor):
    title, reference = "parameters of many types", "none"

    class Params(Params):
        limits: tuple[float, float] = (0.5, 1.5)
        names: dict[str, tuple[int, ...]] = {"a": (1, 2)}

    def reconstruct(self, series, context):
        return iter(())
"""

SCENARIO = """
schema: 1
name: wire
phantom: {kind: core_shell, atoms: 13}
acquisition: {tilts: {angles_deg: [0, 60]}, dose_e_per_A2: .inf, frozen_phonons: {count: 2, rms_A: {Cu: 0.1, Au: 0.1}}}
reconstructors:
  - {use: wire, preprocess: [{background: {}}]}
  - {refine: {use: lot, from: wire}}
sweep: [{acquisition.dose_e_per_A2: [.inf, 1e5]}]
analysis: {species: [Cu, Au]}
"""


@pytest.fixture
def cells(tmp_path):
    (tmp_path / "wire.py").write_text(PLUGIN)
    registry.load_plugin(tmp_path / "wire.py")
    (tmp_path / "wire.yaml").write_text(SCENARIO)
    return load(tmp_path / "wire.yaml").cells


def test_a_cell_is_equal_after_a_round_trip(cells):
    for cell in cells:
        back = Cell.model_validate_json(cell.model_dump_json())
        assert back == cell
        assert repr(back) == repr(cell)
    assert cells[0].swept == {"acquisition.dose_e_per_A2": math.inf}
    assert back.initial is not None
    assert type(back.initial.reconstructor.params) is registry.reconstructor("wire").Params
    assert back.initial.reconstructor.params.limits == (0.5, 1.5)


def test_parameters_are_those_of_the_named_class(cells):
    text = cells[0].model_dump_json()
    with pytest.raises(ValidationError, match=r"params\.limits\.0"):
        Cell.model_validate_json(text.replace('"limits":[0.5,', '"limits":["a",'))
    with pytest.raises(UnknownNameError, match="unknown reconstructor 'wired'; did you mean 'wire'"):
        Cell.model_validate_json(text.replace('"name":"wire"', '"name":"wired"'))
