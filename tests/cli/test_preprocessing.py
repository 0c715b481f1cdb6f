"""Steps that prepare a series, end to end: stored tilt by tilt, shared by what comes after, and their refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchsuite.results import Run

PHASES = """\
schema: 1
name: phases
seed: 3
phantom: {kind: spinel, edge_A: 6}
microscope: {semiangle_mrad: 20, defocus_A: -60}
simulation: {engine: native, sampling_A: 0.2}
acquisition:
  mode: 4dstem
  tilts: {range_deg: [-60, 60], count: 4}
  scan: {step_A: 1.6, positions: [10, 10]}
  camera: {pixels: [40, 40]}
  detector: null
reconstructors:
  - {use: mspt, iterations: 5, preprocess: [msp: {iterations: 4, slices: 1, slice_A: 10}, background, scale]}
  - {use: resire, label: no steps}
  - {use: sirt, iterations: 3, preprocess: [msp: {iterations: 4, slices: 1, slice_A: 10}, background]}
analysis: {species: [O, Co]}
figures: [slice_grid, contact_sheet]
"""


WORDS = ("run", "phases.yaml", "--out", "out", "--store", "store")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, cli_run):
    folder = tmp_path_factory.mktemp("preprocess")
    (folder / "phases.yaml").write_text(PHASES)
    cli_run(folder, *WORDS)
    return folder


def entries(folder, stage):
    return set((folder / "store" / stage).glob("*/*"))


def test_preprocessed_series_are_reconstructed_and_scored(folder):
    table = pd.read_csv(folder / "out" / "results.csv").set_index("reconstructor")
    assert list(table["status"]) == ["ok", "skipped", "ok"]
    assert "takes adf or phase series, not 4dstem" in table.loc["no steps", "reason"]
    assert table.loc["MSPT", "phase_correlation"] > 0.5
    assert table.loc["MSPT", "phase_correlation"] == pytest.approx(table.loc["SIRT", "phase_correlation"], rel=1e-6)
    assert 0 < table.loc["MSPT", "r_factor"] < 1


def test_steps_are_stored_by_tilt_and_shared(folder):
    assert len(entries(folder, "preprocessed_tilt")) == 4
    assert len(entries(folder, "preprocessing")) == 3
    steps = Run(folder / "out").cell("0000").preprocessed()
    assert [one.series.modality for one in steps] == ["phase"] * 3
    assert steps[0].extras["phase_r_factor"].shape == (4,)
    assert np.allclose(steps[2].series.data.sum(axis=(1, 2, 3)), steps[2].series.data[2].sum(), rtol=1e-4)


def test_a_change_of_the_last_step_repeats_no_earlier_one(folder, cli_run):
    before = entries(folder, "preprocessed_tilt") | entries(folder, "preprocessing")
    cli_run(folder, *WORDS, "--set", "figures=[]", "--set", "reconstructors.MSPT.iterations=6")
    assert entries(folder, "preprocessed_tilt") | entries(folder, "preprocessing") == before
    cli_run(folder, *WORDS, "--set", "figures=[]", "--set", "reconstructors.MSPT.preprocess.background.frame_A=1.5")
    after = entries(folder, "preprocessed_tilt") | entries(folder, "preprocessing")
    assert len(after - before) == 2
    assert entries(folder, "preprocessed_tilt") <= before


def test_a_step_that_refuses_skips_the_cell(folder, cli_run):
    cli_run(folder, *WORDS, "--set", "figures=[]", "--set", "microscope.defocus_A=[-60, -40]")
    table = pd.read_csv(folder / "out" / "results.csv").set_index("reconstructor")
    assert table.loc["MSPT", "status"] == "skipped"
    assert "MSP needs one focus, the series has 2" in table.loc["MSPT", "reason"]


ODD = """\
from dataclasses import replace
from benchsuite.contract import Preprocessing
from benchsuite.data import Preprocessed
from benchsuite.params import Params


class Doubled(Preprocessing):
    Params = Params
    title = reference = "twice the signal"

    def preprocess(self, series, context):
        return Preprocessed(replace(series, data=2 * series.data), remark="doubled")


class Shortened(Doubled):
    def preprocess(self, series, context):
        return Preprocessed(replace(series, data=series.data[1:], rotations=series.rotations[1:]))
"""


def test_steps_of_a_plugin_run_and_are_held_to_the_contract(folder, cli_run):
    (folder / "odd.py").write_text(ODD)
    steps = "{use: msp, iterations: 4, slices: 1, slice_A: 10}"
    odd = (
        f"[{{use: sirt, label: good, preprocess: [{steps}, doubled]}}, {{use: sirt, label: bad, preprocess: [{steps}, shortened]}}]"
    )
    cli_run(folder, *WORDS, "--plugin", "odd.py", "--set", f"reconstructors={odd}", status=3)
    table = pd.read_csv(folder / "out" / "results.csv").set_index("reconstructor")
    assert tuple(table.loc["good", ["status", "reason"]]) == ("ok", "doubled")
    assert table.loc["bad", "status"] == "error"
    assert "Shortened makes a series of" in table.loc["bad", "reason"]
    assert "doubled" in (folder / "out" / "report" / "index.html").read_text()
