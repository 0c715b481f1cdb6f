"""Metrics as plugins, end to end: their columns, what a change of them repeats, and how their failures are told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from typer.testing import CliRunner

from benchsuite import catalogue, contract_suite, registry
from benchsuite.cli import app
from benchsuite.code_version import look_again
from benchsuite.contract import Column, Metric, Scores
from benchsuite.errors import ScenarioError
from benchsuite.metrics.matching.matched import match_atoms
from benchsuite.results import Run
from benchsuite.runner.graph import graph_of
from benchsuite.scenario import load
from benchsuite.store import Key, Store

EXAMPLE = Path(__file__).parents[2] / "docs" / "how-to" / "surface.py"
PLUGIN = """
from benchsuite import Column, Metric, Params

class Factor(Params):
    factor: float = 1.0

class Count(Metric[Factor]):
    Params = Factor
    title, reference = "Traced atoms", "none"
    columns = (Column("traced_now", "Traced atoms, times a factor", "‰", "higher"), Column("r_factor_now", "R-factor as of now"))
    def measure(self, scored):
        return {"traced_now": self.params.factor * len(scored.traced), "r_factor_now": float("nan")}

class Offset(Metric):
    title, reference = "Distance between the centroids of true and traced atoms", "none"
    unit, direction = "pm", "lower"
    def measure(self, scored):
        if scored.truth is None or scored.traced is None or len(scored.traced) == 0:
            return float("nan")
        return 100 * float(((scored.truth.positions.mean(axis=0) - scored.traced.positions.mean(axis=0)) ** 2).sum() ** 0.5)

class Broken(Metric):
    title, reference, direction = "Always fails", "none", "lower"
    def measure(self, scored):
        raise RuntimeError("broken on purpose")

class Undeclared(Metric):
    title, reference = "Answers what it does not declare", "none"
    def measure(self, scored):
        return {"something": 0.0}

class Thief(Metric):
    title, reference = "Takes the name of a built-in column", "none"
    columns = (Column("rmsd_Au_pm", "Stolen"),)
    def measure(self, scored):
        return 0.0

class Twin(Metric):
    title, reference = "Takes the name of a column of another metric", "none"
    columns = (Column("traced_now", "Stolen"),)
    def measure(self, scored):
        return 0.0
"""


def invoke(*words):
    return CliRunner(env={"COLUMNS": "400"}).invoke(app, words)


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
  - {use: wbp, label: B, experiment: {analysis.metrics: [undeclared]}}
  - {use: lot, label: D, from: A, iterations: 1, experiment: {analysis.metrics: []}}
analysis: {species: [Cu, Au], metrics: [surface, offset, count: {factor: 2}]}
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
    summary = (folder / "out" / "tables" / "summary.md").read_text()
    assert "RMSD of surface atoms (pm)" in summary
    assert "Traced atoms, times a factor (‰)" in summary


def test_a_metric_of_a_few_lines_is_shown_everywhere_by_what_it_declares(folder):
    title, plugin = "Distance between the centroids of true and traced atoms", ["--plugin", str(folder / "mine.py")]
    found = Run(folder / "out").cell("0000")
    positions = [atoms.positions.mean(axis=0) for atoms in (found.truth(), found.traced())]
    shift = table(folder).loc["WBP", ["shift_x_A", "shift_y_A", "shift_z_A"]].to_numpy(dtype=float)
    assert table(folder).loc["WBP", "offset_pm"] == pytest.approx(100 * np.linalg.norm(positions[0] - positions[1] + shift))
    assert f"{title} (pm)" in (folder / "out" / "tables" / "summary.md").read_text()
    assert f"{title} (pm)" in (folder / "out" / "report" / "index.html").read_text()
    assert f"  offset_pm                    {title} (pm); lower is better" in invoke("info", "offset", *plugin).output
    listed = invoke("list", "metrics", *plugin).output
    assert f"offset               {title} (on request: analysis.metrics)" in listed
    assert "rmsd_pm" in listed
    compared = invoke("compare", str(folder / "out"), str(folder / "out"), "--metric", "offset_pm", "--all")
    assert compared.exit_code == 0, compared.output
    assert "unchanged" in compared.output
    assert f"{title} (pm)" in compared.output


def test_all_columns_of_a_run_are_declared(folder):
    run = Run(folder / "out")
    assert [name for name in run.table if run.columns.get(name) is None] == []
    assert run.columns.get("surface_rmsd_pm").heading == "RMSD of surface atoms (pm)"
    assert (run.columns.get("traced_now").unit, run.columns.get("traced_now").direction) == ("‰", "higher")


def keys(factor):
    """{stage: key} of the one cell of the scenario, and of the metrics by their names, for the code as it stands now."""
    look_again()
    made = graph_of(load("tiny.yaml", overrides=[f"analysis.metrics=[surface, count: {{factor: {factor}}}]"]).cells[0])
    found = {stage.name: str(stage.key) for stage in made.stages() if stage.name != "image"}
    return {**found, "scores": str(made.scores.key), **{stage.metrics[0].name: str(stage.key) for stage in made.metrics}}


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
    assert {*first} >= {"phantom", "series", "reconstruction", "atoms", "match", "scores", "surface"}
    assert Store(folder / "store").has(Key.parse(first["count"]))  # what the run made stands under these keys


def test_a_metric_that_fails_is_named_and_costs_its_own_cell_alone(folder):
    found = table(folder)
    assert list(found["status"]) == ["ok", "error", "error", "ok"]
    assert found.loc["A", "reason"] == "metric broken: RuntimeError: broken on purpose"
    assert found.loc["B", "reason"] == "metric undeclared: 'something' is none of its columns: undeclared"
    assert "Traceback" in json.loads((folder / "out" / "cells" / "0001.json").read_text())["log"]


@pytest.mark.parametrize(
    ("metrics", "problem"),
    [
        ("thief", "metric thief: the column 'rmsd_Au_pm' belongs to metric positions; give it another name"),
        ("count, twin", "metric twin: the column 'traced_now' belongs to metric count; give it another name"),
    ],
)
def test_a_column_has_one_owner(folder, metrics, problem):
    for plugin in (folder / "mine.py", EXAMPLE):
        registry.load_plugin(plugin)
    with pytest.raises(ScenarioError) as caught:
        load(folder / "tiny.yaml", overrides=[f"analysis.metrics=[{metrics}]"])
    assert problem in str(caught.value)


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
    matched = match_atoms(true, answer, registration="rigid")
    np.testing.assert_array_equal(matched.pairs[:, 1], 1 + np.argsort(order))
    np.testing.assert_allclose(matched.traced.positions[matched.pairs[:, 1]], true.positions, atol=1e-9)
    np.testing.assert_allclose(matched.in_volume(true.positions[order]), answer.positions[1:], atol=1e-9)
    np.testing.assert_array_equal(matched.positions_found, answer.positions)
    assert list(matched.traced.arrays["outcome"][:2]) == ["non_atom", "true"]


def test_the_example_keeps_the_contract():
    registry.load_plugin(EXAMPLE)
    contract_suite.check_metric(registry.metric("surface")())
    assert len(EXAMPLE.read_text().splitlines()) <= 50
    assert "lower is better" in catalogue.describe("surface")
    assert dict(catalogue.entries("metrics"))["  surface_rmsd_pm"] == "RMSD of surface atoms (pm)"


class Plain(Metric):
    title, reference, direction = "a metric", "none", "lower"

    def measure(self, scored):
        return float(scored.truth is not None)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"direction": "down"}, "direction is 'down'"),
        ({"measure": lambda self, scored: len(scored.truth)}, "raises TypeError for a series without a truth"),
        ({"columns": (Column("n_true", "True atoms"),)}, "'n_true' is built in"),
        ({"columns": (Column("recall_<El>_pct", "Recall"),)}, "'recall_<El>_pct' is built in"),
        ({"columns": (Column("a b", "Two words"),)}, "cannot name a column"),
        ({"measure": lambda self, scored: np.random.default_rng().random()}, "two calls differ"),
        ({"measure": lambda self, scored: scored.series.data.fill(0) or 1}, "changed series.data"),
        ({"measure": lambda self, scored: {}}, "no value for a plain answer"),
        ({"measure": lambda self, scored: [1.0]}, "returned list"),
    ],
)
def test_the_contract_suite_finds_what_is_wrong_with_a_metric(change, complaint):
    contract_suite.check_metric(Plain())
    with pytest.raises(AssertionError, match=complaint):
        contract_suite.check_metric(type("Wrong", (Plain,), change)())


@pytest.mark.parametrize(
    "values", [{"other": 1.0}, {"plain": "1"}, {"plain": True}, {"plain": float("inf")}, [1.0], {3: 1.0}, None]
)
def test_answers_that_are_none(values):
    with pytest.raises(ValueError, match=r"plain|none of its columns|measure"):
        Plain().checked(values)


def test_answers_that_are_fine():
    for values in ({"plain": float("nan")}, {"plain": np.float32(1)}, {"plain": 3}, {}):
        assert Plain().checked(values).values == pytest.approx(values, nan_ok=True)
    assert Plain().checked(2.0).values == {"plain": 2.0}
    assert Plain().checked(Scores({"plain": 1.0}, {"curve": np.ones(3)})).curves["curve"].sum() == 3
