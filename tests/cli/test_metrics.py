"""Metrics as plugins, end to end: their columns, what a change of them repeats, and how their failures are told."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import Atoms

from benchsuite import catalogue, contract_suite, registry
from benchsuite.code_version import look_again
from benchsuite.contract import Metric
from benchsuite.contract.metric import metric_misfit
from benchsuite.errors import ScenarioError
from benchsuite.metrics.scores import score
from benchsuite.results import Run
from benchsuite.runner.graph import graph_of
from benchsuite.runner.stages.metric import scored
from benchsuite.scenario import load
from benchsuite.store import Key, Store

EXAMPLE = Path(__file__).parents[2] / "docs" / "how-to" / "surface.py"
PLUGIN = """
from benchsuite.contract import Metric
from benchsuite.params import Params

class Factor(Params):
    factor: float = 1.0

class Count(Metric[Factor]):
    Params = Factor
    title, reference, unit, direction = "traced atoms", "none", "%", "higher"
    def measure(self, scored):
        return {"traced_now": self.params.factor * len(scored.traced), "r_factor_now": float("nan")}

class Broken(Metric):
    title, reference, direction = "always fails", "none", "lower"
    def measure(self, scored):
        raise RuntimeError("broken on purpose")

class Thief(Metric):
    title, reference, direction = "takes a name", "none", "lower"
    def measure(self, scored):
        return {"rmsd_pm": 0.0}

class Twin(Metric):
    title, reference, direction = "takes a name of another metric", "none", "lower"
    def measure(self, scored):
        return {"traced_now": 0.0}
"""


def table(folder):
    return pd.read_csv(folder / "out" / "results.csv").set_index("reconstructor")


SCENARIO = """\
schema: 1
name: tiny
phantom: {kind: core_shell, atoms: 19, shell_layers: 1}
simulation: {method: prism, sampling_A: 0.2, prism_interpolation: 2}
acquisition:
  tilts: {range_deg: [-90, 90], count: 8}
  scan: {step_A: 0.4, positions: [36, 36]}
  detector: {inner_mrad: 22, outer_mrad: 32}
reconstructors:
  - wbp
  - {use: wbp, label: A, experiment: {analysis.metrics: [broken]}}
  - {use: wbp, label: B, experiment: {analysis.metrics: [thief]}}
  - {use: wbp, label: C, experiment: {analysis.metrics: [count, twin]}}
  - {use: lot, label: D, from: A, iterations: 1, experiment: {analysis.metrics: []}}
analysis: {species: [Cu, Au], metrics: [surface, count: {factor: 2}]}
figures: [histogram_grid]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, cli_run):
    folder = tmp_path_factory.mktemp("metrics")
    (folder / "tiny.yaml").write_text(SCENARIO)
    (folder / "mine.py").write_text(PLUGIN)
    shutil.copy(EXAMPLE, folder / "surface.py")
    plugins = ["--plugin", "mine.py", "--plugin", "surface.py"]
    cli_run(folder, "run", "tiny.yaml", *plugins, "--out", "out", "--store", "store", status=3)
    return folder


def test_metrics_have_columns_in_table_and_report(folder):
    row = table(folder).loc["WBP"]
    assert row["traced_now"] == 2 * len(Run(folder / "out").cell("0000").traced())
    assert np.isnan(row["r_factor_now"])
    truth = Run(folder / "out").cell("0000").truth()
    distance = truth.get_all_distances() + 9 * np.eye(len(truth))
    inside = (distance < 1.25 * np.median(distance.min(axis=0))).sum(axis=0) >= 10
    error = 100 * truth.arrays["displacement_A"]
    assert row["inside_rmsd_pm"] == pytest.approx(np.sqrt(np.nanmean(error[inside] ** 2)))
    assert row["surface_rmsd_pm"] == pytest.approx(np.sqrt(np.nanmean(error[~inside] ** 2)))
    measures = Run(folder / "out").measures
    assert measures["surface_rmsd_pm"]["metric"] == "surface"
    assert (measures["traced_now"]["unit"], measures["traced_now"]["direction"]) == ("%", "higher")
    summary = (folder / "out" / "tables" / "summary.md").read_text()
    assert "Surface rmsd (pm)" in summary
    assert "Traced now (%)" in summary
    assert "Surface rmsd (pm), Inside rmsd (pm): RMSD of matched atoms at the surface" in summary


def test_no_column_of_a_run_is_taken_for_one_of_a_metric(folder):
    columns, measures = set(table(folder).reset_index().columns), Run(folder / "out").measures
    assert {name for name in columns if not catalogue.is_built_in(name)} == set(measures)
    assert not any(catalogue.is_built_in(name) for name in measures)


def keys(factor):
    """{stage: key} of the one cell of the scenario, and of the metrics by their names, for the code as it stands now."""
    look_again()
    made = graph_of(load("tiny.yaml", overrides=[f"analysis.metrics=[surface, count: {{factor: {factor}}}]"]).cells[0])
    names = [stage.name for stage in made.stages() if stage.name not in ("image", "metric")]
    told = {stage.name: str(stage.key) for stage in made.stages() if stage.name in names}
    return told | {stage.spec.name: str(stage.key) for stage in made.metrics}


def test_a_change_of_a_metric_repeats_only_it(folder, monkeypatch):
    monkeypatch.chdir(folder)
    registry.load_plugin("mine.py")
    registry.load_plugin("surface.py")
    first, other_value = keys(2), keys(3)
    (folder / "mine.py").write_text(PLUGIN.replace("len(scored.traced)", "(1 + len(scored.traced))"))
    other_code = keys(2)
    (folder / "mine.py").write_text("# a comment\n" + PLUGIN)
    assert keys(2) == first
    for other in (other_value, other_code):
        assert {name for name in first if first[name] != other[name]} == {"count"}
    assert {*first} >= {"phantom", "series", "reconstruction", "atoms", "scores", "surface"}
    assert Store(folder / "store").has(Key.parse(first["count"]))  # what the run made stands under these keys


def test_a_metric_that_fails_is_named_and_costs_its_own_cell_alone(folder):
    found = table(folder)
    assert list(found["status"]) == ["ok", "error", "error", "error", "ok"]
    assert found.loc["A", "reason"] == "metric broken: RuntimeError: broken on purpose"
    assert found.loc["B", "reason"] == "metric thief: the column 'rmsd_pm' belongs to the table itself; give it another name"
    assert found.loc["C", "reason"] == "metric twin: the column 'traced_now' belongs to metric count; give it another name"
    assert "Traceback" in json.loads((folder / "out" / "cells" / "0001.json").read_text())["log"]


def test_scenarios_are_checked_for_metrics(tmp_path, tiny_scenario):
    registry.load_plugin(EXAMPLE)
    file = tmp_path / "s.yaml"
    for text, problem in {
        "[surfaec]": "unknown metric 'surfaec'; did you mean 'surface'?",
        "[surface: {neighbors: 3}]": "unknown key; did you mean 'neighbours'?",
        "[surface, surface]": "metric 'surface' is asked for twice",
        "[3]": "3 must be a name, or name: {...}",
        "surface": "must be a list",
    }.items():
        file.write_text(tiny_scenario.replace("species: [Cu, Au]", f"species: [Cu, Au], metrics: {text}"))
        with pytest.raises(ScenarioError) as caught:
            load(file)
        assert problem in str(caught.value)
        assert "s.yaml:11:" in str(caught.value)
    file.write_text(tiny_scenario.replace("species: [Cu, Au]", "species: [Cu, Au], metrics: [surface]"))
    cells = load(file, overrides=["analysis.metrics.surface.neighbours=7"]).cells
    assert cells[0].experiment.analysis.metrics == ({"use": "surface", "neighbours": 7},)


def test_metric_gets_matched_atoms_in_the_frame_of_the_truth():
    rng = np.random.default_rng(3)
    true = Atoms("Cu8", 3.0 * np.array(list(np.ndindex(2, 2, 2))) - 1.5)
    turn = np.array([[np.cos(0.05), -np.sin(0.05), 0], [np.sin(0.05), np.cos(0.05), 0], [0, 0, 1]])
    order = rng.permutation(8)
    answer = Atoms("X" + "Cu8", np.vstack([[9.0, 9.0, 9.0], (true.positions[order] + [0.3, -0.2, 0.1]) @ turn]))
    whole = contract_suite.scored_problem()
    told = score(true, answer, registration="rigid")
    seen = scored(told.truth, told.traced, whole.reconstruction, whole.series, {"cutoff_A": None, "registration": "rigid"})
    np.testing.assert_array_equal(seen.pairs[:, 1], 1 + np.argsort(order))
    np.testing.assert_allclose(seen.traced.positions[seen.pairs[:, 1]], true.positions, atol=1e-9)
    np.testing.assert_allclose(seen.in_volume(true.positions[order]), answer.positions[1:], atol=1e-9)
    assert list(seen.traced.arrays["outcome"][:2]) == ["non_atom", "true"]


def test_the_example_keeps_the_contract():
    registry.load_plugin(EXAMPLE)
    contract_suite.check_metric(registry.metric("surface")())
    assert len(EXAMPLE.read_text().splitlines()) <= 50
    assert "lower is better" in catalogue.describe("surface")
    assert ("surface", registry.metric("surface").title) in catalogue.entries("metrics")


class Plain(Metric):
    title, reference, direction = "a metric", "none", "lower"

    def measure(self, scored):
        return {"truth_seen": float(scored.truth is not None)}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"direction": "down"}, "direction is 'down'"),
        ({"measure": lambda self, scored: {"n": len(scored.truth)}}, "raises TypeError for a series without a truth"),
        ({"measure": lambda self, scored: {"n_true": 1}}, "'n_true' is built in"),
        ({"measure": lambda self, scored: {"n": np.random.default_rng().random()}}, "two calls differ"),
        ({"measure": lambda self, scored: scored.series.data.fill(0) or {"n": 1}}, "changed series.data"),
        ({"measure": lambda self, scored: {}}, "no value for a plain answer"),
        ({"measure": lambda self, scored: 1.0}, "returned float"),
    ],
)
def test_the_contract_suite_finds_what_is_wrong_with_a_metric(change, complaint):
    contract_suite.check_metric(Plain())
    with pytest.raises(AssertionError, match=complaint):
        contract_suite.check_metric(type("Wrong", (Plain,), change)())


@pytest.mark.parametrize("values", [{"a b": 1.0}, {"a": "1"}, {"a": True}, {"a": float("inf")}, [1.0], {3: 1.0}, {"é": 1.0}])
def test_answers_that_are_none(values):
    assert metric_misfit(values)


def test_answers_that_are_fine():
    assert metric_misfit({"a": float("nan"), "b_pm": np.float32(1), "c": 3}) is None
    whole = contract_suite.scored_problem()
    assert replace(whole, truth=None).truth is None
