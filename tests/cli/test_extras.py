"""What a method answers is declared by its class: arrays in `extras`, whatever their names are, change no score."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tests.conftest import TINY

PLUGIN = """
from dataclasses import replace

import numpy as np

from benchsuite.contract_suite import POISON
from benchsuite.data import Slices
from benchsuite.params import Params
from benchsuite.reconstructors.wbp import WBP, WBPParams


class PoisonedParams(WBPParams):
    names: str = ""


class Poisoned(WBP):
    Params = PoisonedParams

    def reconstruct(self, series, context):
        for item in super().reconstruct(series, context):
            edges = np.array([-10.0, 0.0, 10.0])
            phase = np.stack([item.volume[::2].sum(axis=0), item.volume[1::2].sum(axis=0)])
            arrays = {**POISON, "slice_edges_A": edges, "phase": phase, "probe_focus_A": np.linspace(-10, 10, 1)}
            yield replace(item, extras={name: arrays[name] for name in self.params.names.split()})


class Sliced(WBP):
    def reconstruct(self, series, context):
        for item in super().reconstruct(series, context):
            yield replace(item, slices=Slices(item.volume[:2], np.arange(3.0)))
"""
POISONED = ["slice_edges_A phase", "probe_focus_A", "r_factor_per_image focus_A", "shift_A edges_A volume history"]
SCORES = ["rmsd_pm", "tracing_error_pct", "r_factor", "n_true", "n_traced"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("extras")
    (folder / "mine.py").write_text(PLUGIN)
    methods = [f"{{use: poisoned, label: {names or 'plain'}, names: {names!r}}}" for names in ["", *POISONED]]
    text = TINY.replace("[resire, wbp]", f"[{', '.join(methods)}, sliced]").replace("[.inf, 1e7]", "[1e7]")
    (folder / "tiny.yaml").write_text(text)
    command = [sys.executable, "-m", "benchsuite.cli", "run", "tiny.yaml", "--out", "out", "--plugin", "mine.py"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)
    assert (folder / "out" / "results.csv").is_file(), result.stderr
    return pd.read_csv(folder / "out" / "results.csv").set_index("reconstructor")


@pytest.mark.parametrize("names", POISONED)
def test_extras_change_no_score(table, names):
    plain, poisoned = table.loc["plain"], table.loc[names]
    assert poisoned["status"] == "ok"
    assert np.isfinite(poisoned[SCORES].astype(float)).all()
    pd.testing.assert_series_equal(plain[SCORES], poisoned[SCORES], check_names=False)
    assert "focus_error_A" not in table
    assert "phase_correlation" not in table


def test_slices_of_a_method_for_tilt_series_are_an_error(table):
    assert table.loc["SLICED", "status"] == "error"
    assert "must not answer with slices" in table.loc["SLICED", "reason"]
