"""`compare` and `baseline` on the command line: exit status, files, and real runs against themselves."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from benchsuite.cli import app
from benchsuite.pytest_plugin import run_scenario
from benchsuite.results import FORMAT
from tests.reports.made_runs import COLUMNS

KEY = "acquisition.dose_e_per_A2"


def write_run(folder, rows, **scenario):
    """A run folder with these rows and without stored data."""
    about = {
        "format": FORMAT,
        "scenario": {"name": "made-up", "seed": 7, "reconstructors": [{"use": "wbp", "label": "WBP"}], **scenario},
        "scale": "desk",
        "sweep_keys": [KEY],
        "store": "store",
        "columns": COLUMNS,
        "provenance": {"commit": None, "processor": "one", "libraries": {"numpy": "2"}},
    }
    (folder / "cells").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(about))
    for number, row in enumerate(rows):
        keys = {"series": f"series/{row[KEY]}-{row['repeat']}-{row['seed']}/code"}
        (folder / "cells" / f"{number:04d}.json").write_text(json.dumps({"row": row, "keys": keys, "log": ""}))
    return folder


def row(repeat, rmsd, dose=2e5, seed=7):
    facts = {"reconstructor": "WBP", "repeat": repeat, "seed": seed, "status": "ok", "reason": "", "device": "cpu", KEY: dose}
    return {**facts, "rmsd_pm": rmsd, "n_true": 100, "resolution_x_A": float("nan")}


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def folders(tmp_path):
    values = [50.0, 51.0, 49.0, 52.0, 50.5]
    return {
        "base": write_run(tmp_path / "base", [row(i, value) for i, value in enumerate(values)]),
        "same": write_run(tmp_path / "same", [row(i, value) for i, value in enumerate(values)]),
        "worse": write_run(tmp_path / "worse", [row(i, 1.1 * value + 0.1 * i) for i, value in enumerate(values)]),
        "seed": write_run(tmp_path / "seed", [row(i, value, seed=8) for i, value in enumerate(values)]),
        "dose": write_run(tmp_path / "dose", [row(i, value, dose=1e5) for i, value in enumerate(values)]),
    }


@pytest.mark.parametrize(("candidate", "status"), [("same", 0), ("worse", 1), ("seed", 4), ("dose", 4)])
def test_exit_status(folders, candidate, status):
    result = invoke("compare", folders["base"], folders[candidate])
    assert result.exit_code == status, result.output
    assert result.output.splitlines()[-1].startswith({0: "No regression", 1: "Regression", 4: "Nothing comparable"}[status])


def test_files_and_a_baseline_in_place_of_a_run(folders, tmp_path):
    table = tmp_path / "table.json"
    result = invoke("baseline", "accept", folders["base"], "--reason", "it is right", "--out", table)
    assert result.exit_code == 0, result.output
    shown = invoke("baseline", "show", table).output
    assert "it is right" in shown
    assert "RMSD (pm)" in shown
    files = {kind: tmp_path / f"out.{kind}" for kind in ("markdown", "json", "junit", "html")}
    words = [word for kind, file in files.items() for word in (f"--{kind}", file)]
    assert invoke("compare", table, folders["worse"], *words).exit_code == 1
    assert all(file.stat().st_size > 200 for file in files.values())
    assert invoke("compare", table, folders["same"]).exit_code == 0


def test_impossible_comparisons_are_reported(folders, tmp_path):
    (folders["seed"] / "cells" / "0000.json").write_text('{"row": {}, "keys": {}}')
    (folders["dose"] / "cells" / "0000.json").write_text('{"row": ')
    for words, told in (
        (("compare", folders["base"], tmp_path / "nothing"), "no such run folder or baseline file"),
        (("compare", folders["base"], folders["seed"]), "the record of cell 0000 is damaged (KeyError"),
        (("compare", folders["base"], folders["dose"]), "0000.json is damaged"),
        (("compare", folders["base"], folders["same"], "--metric", "rmsd"), "did you mean 'rmsd_pm'"),
        (("baseline", "accept", folders["base"], "--reason", " "), "--reason: state why"),
        (("baseline", "show", tmp_path / "nothing.json"), "cannot be read"),
    ):
        result = invoke(*words)
        assert told in str(result.exception), words
        assert result.exception.exit_status == 2


def test_another_method_leaves_the_experiment_of_the_others_alone(tmp_path):
    more = [{"use": "wbp", "label": "WBP"}, {"use": "lot", "label": "LOT", "experiment": {"microscope.defocus_A": 5.0}}]
    base, candidate = (
        write_run(tmp_path / name, [row(0, 50.0)], microscope={"energy_keV": energy}, reconstructors=methods)
        for name, energy, methods in (("base", 300.0, more[:1]), ("candidate", 300.0, more))
    )
    other = write_run(tmp_path / "other", [row(0, 50.0)], microscope={"energy_keV": 200.0}, reconstructors=more)
    assert invoke("compare", base, candidate, "--same", "experiment").exit_code == 0
    assert invoke("compare", base, other, "--same", "experiment").exit_code == 4


SMALL = """\
schema: 1
name: twice
seed: 4
phantom: {kind: amorphous, atoms: 12}
microscope: {semiangle_mrad: 40}
simulation: {engine: incoherent, sampling_A: 0.12, slice_A: 4.0}
acquisition:
  tilts: {range_deg: [-70, 70], count: 6}
  scan: {step_A: 0.4, positions: [30, 30]}
  detector: {inner_mrad: 45, outer_mrad: 150}
  dose_e_per_A2: 1e6
reconstructors: [sirt: {iterations: 40}, wbp]
analysis: {species: [Si]}
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One scenario run twice in different stores, and once with fewer iterations of one method and another dose."""
    folder = tmp_path_factory.mktemp("compare")
    (folder / "twice.yaml").write_text(SMALL)

    def start(name, store, **options):
        run_scenario(folder / "twice.yaml", folder / name, folder / store, in_process=True, workers=1, **options)
        return folder / name

    return {
        "first": start("first", "one"),
        "again": start("again", "two"),
        "worse": start("worse", "two", overrides=["reconstructors.SIRT.iterations=2"]),
        "dose": start("dose", "two", overrides=["acquisition.dose_e_per_A2=2e6"], only=["WBP"]),
        "seed": start("seed", "two", overrides=["seed=5"], only=["WBP"]),
    }


def test_a_run_against_itself_is_unchanged(runs, tmp_path):
    result = invoke("compare", runs["first"], runs["again"], "--json", tmp_path / "c.json", "--all")
    assert result.exit_code == 0, result.output
    told = json.loads((tmp_path / "c.json").read_text())
    assert set(told["counts"]) == {"unchanged"}
    assert {one["method"] for one in told["findings"]} == {"SIRT", "WBP"}
    assert told["changed_settings"] == []
    assert "reported without a verdict" in result.output


def test_fewer_iterations_are_found_and_the_cells_named(runs):
    result = invoke("compare", runs["first"], runs["worse"], "--by", "margin")
    assert result.exit_code == 1, result.output
    failing = [line for line in result.output.splitlines() if line.strip().startswith("regressed")]
    assert failing
    assert all("SIRT" in line for line in failing)
    assert "Setting reconstructors.SIRT.iterations: 40.0 → 2.0" in result.output


@pytest.mark.parametrize("other", ["dose", "seed"])
def test_other_data_are_nothing_comparable(runs, other):
    result = invoke("compare", runs["first"], runs[other], "--only", "WBP")
    assert result.exit_code == 4, result.output
