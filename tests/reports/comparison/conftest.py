"""Made-up sides of a comparison: methods, conditions and repeats with scores of any kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchsuite.columns import Columns
from benchsuite.reports.comparison.side import CellFacts, Side
from benchsuite.results import COSTS
from tests.reports.made_runs import COLUMNS

DOSE = "acquisition.dose_e_per_A2"


def cell(method="RESIRE", dose=1e6, repeat=0, status="ok", reason="", seed=7, series=None, experiment="one", **scores):
    key = f"series/{dose}-{repeat}/code" if series is None else series
    scores = {"n_true": 500.0, **scores} if status == "ok" else {}
    return CellFacts(method, {DOSE: dose}, repeat, seed, "cpu", status, reason, experiment, key, "", scores)


def side(cells, name="run", **facts):
    columns = Columns([*Columns.from_json(COLUMNS), *COSTS])
    return replace(Side(name, "made-up", "desk", tuple(cells), {"processor": "one"}, columns=columns), **facts)


@pytest.fixture
def made_up():
    """Functions that make a cell and a side."""
    return cell, side
