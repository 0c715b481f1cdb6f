"""What a metric is shown of the series: as the method got it, and as the microscope recorded it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from benchsuite import contract_suite, registry
from benchsuite.contract import Metric
from benchsuite.data import Reconstruction
from benchsuite.runner.graph import graph_of
from benchsuite.runner.stages.base import Bench
from benchsuite.runner.stages.metric import VALUES
from benchsuite.runner.stages.reconstruction import FOLDER
from benchsuite.runner.stages.scores import TRACED_SCORED, TRUTH_SCORED
from benchsuite.scenario import load
from benchsuite.storage import SERIES, save_atoms, save_reconstruction, save_series


class Axes(Metric):
    title, reference, direction = "axes of the series", "none", "neither"

    def measure(self, scored):
        return {"axes_given": scored.series.data.ndim, "axes_recorded": scored.recorded.data.ndim}


SCENARIO = """\
schema: 1
name: steps
phantom: {kind: core_shell, atoms: 13}
acquisition:
  mode: 4dstem
  tilts: {range_deg: [-90, 90], count: 3}
  scan: {step_A: 1.6, positions: [12, 12]}
  camera: {pixels: [48, 48]}
  detector: null
reconstructors: [mset, {use: mspt, preprocess: [msp, background]}]
analysis: {species: [Cu, Au], metrics: [axes]}
"""


@pytest.mark.parametrize(("cell", "given"), [(0, 6), (1, 4)], ids=["as recorded", "behind steps"])
def test_a_metric_sees_the_series_as_it_was_recorded(cell, given, tmp_path, monkeypatch):
    monkeypatch.setitem(registry._plugins["metric"], "axes", Axes)
    (tmp_path / "steps.yaml").write_text(SCENARIO)
    (stage,) = graph_of(load(tmp_path / "steps.yaml").cells[cell]).metrics
    names = [one.name for one in stage.upstream()]
    assert names == ["scores", "atoms", "reconstruction", *(["series"] if given == 6 else ["preprocessing", "series"])]
    whole, of_patterns = contract_suite.scored_problem(), contract_suite.small_problem("4dstem")[0]
    phases = replace(whole.series, modality="phase")
    folders = [tmp_path / name for name in ("metric", *names)]
    for folder in folders:
        folder.mkdir()
    save_atoms(folders[1] / TRUTH_SCORED, whole.truth)
    save_atoms(folders[1] / TRACED_SCORED, whole.traced)
    save_reconstruction(folders[3] / FOLDER, Reconstruction(None, whole.traced, np.empty((0, 2)), 1.0))
    for folder, series in zip(folders[4:], [of_patterns] if given == 6 else [phases, of_patterns], strict=True):
        save_series(folder / SERIES, series.data, series)
    stage.make(folders[0], folders[1:], Bench())
    assert json.loads((folders[0] / VALUES).read_text()) == {"axes_given": given, "axes_recorded": 6}
