"""The golden table: every registered reconstructor keeps the scores that were accepted.

What is better or new, and right, is accepted by `pytest tests/golden --benchsuite-accept "REASON"`.
"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from benchsuite.columns import Column, Columns
from benchsuite.pytest_plugin import hold_against
from benchsuite.reports.comparison import accept, read_baseline
from benchsuite.scenario import load

HERE = Path(__file__).parent
SCENARIO, TABLE = HERE / "reconstructors.yaml", HERE / "reconstructors.baseline.json"
METRICS = ("rmsd_pm", "tracing_error_pct", "classification_rate_pct", "r_factor", "resolution_fsc_A", "phase_correlation")


@pytest.fixture(scope="module")
def golden(benchsuite_run):
    return benchsuite_run(SCENARIO, in_process=True, workers=1)


def test_no_score_is_worse_than_accepted(golden, assert_no_regression):
    assert_no_regression(golden, TABLE.name, metrics=METRICS)


def without_row(registered):
    """The reconstructors among these that are in no row of the table."""
    rows = {cell.method for cell in read_baseline(TABLE).cells if cell.status == "ok"}
    covered = {cell.reconstructor.name for cell in load(SCENARIO).cells if cell.reconstructor.label in rows}
    return set(registered) - covered


def test_every_registered_reconstructor_has_a_row():
    project = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    registered = project["entry-points"]["benchsuite.reconstructors"]
    assert not without_row(registered), f"add to {SCENARIO.name} and accept"
    assert without_row([*registered, "brand_new"]) == {"brand_new"}


@pytest.mark.parametrize(
    ("metric", "accepted", "words"),
    [
        ("rmsd_pm", lambda value: 0.7 * value, "regressed"),
        ("r_factor", lambda value: 0.7 * value, "regressed"),
        ("rmsd_pm", lambda value: 1.5 * value, "improved"),
    ],
)
def test_a_doctored_table_is_noticed(golden, tmp_path, metric, accepted, words):
    table = read_baseline(TABLE)
    sirt = next(one for one in table.cells if one.method == "SIRT")
    changed = replace(sirt, scores={**sirt.scores, metric: accepted(sirt.scores[metric])})
    cells = [changed if one is sirt else one for one in table.cells]
    accept(replace(table, cells=tuple(cells)), tmp_path / "doctored.json", "doctored", when="")
    told = hold_against(golden, tmp_path / "doctored.json", metrics=METRICS)
    assert (words in told) == (words == "regressed")
    assert told == "" or "SIRT" in told


def test_a_row_or_column_that_is_gone_or_new_is_noticed(golden, tmp_path):
    table = read_baseline(TABLE)
    first = table.cells[0]
    changed = {
        "missing": (replace(first, scores={**first.scores, "lattice_strain_pct": 1.0}), *table.cells[1:]),
        "new ": table.cells[1:],
    }
    for words, cells in changed.items():
        file = tmp_path / f"{words.strip()}.json"
        columns = Columns([*table.columns, Column("lattice_strain_pct", "Lattice strain", "%", "lower")])
        accept(replace(table, cells=cells, columns=columns), file, "doctored", when="")
        assert words in hold_against(golden, file, metrics=() if words == "missing" else METRICS)
    extra = replace(first, method="gone", scores={"rmsd_pm": 1.0})
    accept(replace(table, cells=(extra, *table.cells)), tmp_path / "gone.json", "doctored", when="")
    assert "the candidate has no such cell" in hold_against(golden, tmp_path / "gone.json", metrics=METRICS)
