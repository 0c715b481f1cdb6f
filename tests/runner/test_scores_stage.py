"""What metrics are shown of a cell."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from benchsuite import contract_suite, registry
from benchsuite.contract import Column, Metric, Scores
from benchsuite.data import Preprocessed, Reconstruction
from benchsuite.metrics.matching.matched import match_atoms, unmatched
from benchsuite.runner.graph import graph_of
from benchsuite.runner.stages.base import Bench
from benchsuite.runner.stages.match import ABOUT, load_matched, save_matched
from benchsuite.runner.stages.phantom import FILE as TRUTH
from benchsuite.runner.stages.reconstruction import FOLDER
from benchsuite.runner.stages.scores import CURVES, VALUES
from benchsuite.runner.stages.series import IMPERFECTIONS
from benchsuite.scenario import load
from benchsuite.storage import SERIES, load_arrays, save_atoms, save_preprocessed, save_reconstruction, save_series


class Axes(Metric):
    title, reference = "axes of the series", "none"

    columns = (Column("axes_given", "Axes of the series as given"), Column("axes_recorded", "Axes of the series as recorded"))

    def measure(self, scored):
        values = {"axes_given": scored.series.data.ndim, "axes_recorded": scored.recorded.data.ndim}
        return Scores(values, {"axes": np.array([*values.values()])})


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
    monkeypatch.setitem(registry.PROCESS.plugins["metric"], "axes", Axes)
    (tmp_path / "steps.yaml").write_text(SCENARIO)
    (stage,) = graph_of(load(tmp_path / "steps.yaml").cells[cell]).metrics
    names = [one.name for one in stage.upstream()]
    assert names == ["match", "reconstruction", "series", "phantom", *([] if given == 6 else ["preprocessing"] * 2)]
    whole, of_patterns = contract_suite.scored_problem(), contract_suite.small_problem("4dstem")[0]
    folders = [tmp_path / f"{number}" for number in range(len(names) + 1)]
    for folder in folders:
        folder.mkdir()
    save_matched(folders[1], match_atoms(whole.truth, whole.traced))
    (folders[1] / ABOUT).write_text(json.dumps({"placement": None}))
    save_reconstruction(folders[2] / FOLDER, Reconstruction(None, whole.traced, np.empty((0, 2)), 1.0))
    save_series(folders[3] / SERIES, of_patterns.data, of_patterns)
    (folders[3] / IMPERFECTIONS).write_text(json.dumps({"true_rotations": [], "drift_A": []}))
    save_atoms(folders[4] / TRUTH, whole.truth)
    for folder in folders[5:]:
        save_preprocessed(folder, Preprocessed(replace(whole.series, modality="phase")))
    stage.make(folders[0], folders[1:], Bench())
    assert json.loads((folders[0] / VALUES).read_text()) == {"axes_given": given, "axes_recorded": 6}
    assert load_arrays(folders[0] / CURVES)[0]["axes"].tolist() == [given, 6]


def test_matched_atoms_are_the_same_from_disk(tmp_path):
    whole = contract_suite.scored_problem()
    turned = whole.traced.copy()
    turned.rotate(3, "z")
    turned.positions += [0.31, -0.2, 0.1]
    for number, one in enumerate([match_atoms(whole.truth, turned, registration="rigid"), unmatched(turned)]):
        (tmp_path / f"{number}").mkdir()
        save_matched(tmp_path / f"{number}", one)
        read = load_matched(tmp_path / f"{number}")
        for name in ("pairs", "rotation", "shift_A", "distance_A", "positions_found", "cutoff_A"):
            np.testing.assert_array_equal(getattr(read, name), getattr(one, name))
        np.testing.assert_array_equal(read.traced.positions, one.traced.positions)
        assert (read.traced.arrays["outcome"] == one.traced.arrays["outcome"]).all()
        assert (read.truth is None) == (one.truth is None)
