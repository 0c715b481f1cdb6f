"""The Cramér–Rao bound end to end: beside the RMSD of every method on the patterns, also where steps made phases of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

PLUGIN = """
from benchsuite.metrics.bound import CramerRao
class Bound(CramerRao):
    pass
"""
SCENARIO = """\
schema: 1
name: bounded
seed: 4
phantom: {kind: core_shell, atoms: 13, shell_layers: 1}
microscope: {defocus_A: -60}
simulation: {engine: native, sampling_A: 0.16}
acquisition:
  mode: 4dstem
  tilts: {range_deg: [-90, 90], count: 3}
  scan: {step_A: 1.0, positions: [14, 14]}
  camera: {pixels: [32, 32]}
  detector: {inner_mrad: 24, outer_mrad: 40}
reconstructors:
  - mset: {iterations: 2, slice_A: 3}
  - {use: mspt, iterations: 2, preprocess: [msp: {iterations: 2, slices: 1, slice_A: 14}]}
  - wbp
figures: [histogram_grid]
sweep: [{acquisition.dose_e_per_A2: [.inf, 2e5]}]
analysis: {species: [Cu, Au], metrics: [bound: {slice_A: 2.0}]}
"""


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cli_run):
    folder = tmp_path_factory.mktemp("bound")
    (folder / "bounded.yaml").write_text(SCENARIO)
    (folder / "bound.py").write_text(PLUGIN)
    cli_run(folder, "run", "bounded.yaml", "--plugin", "bound.py", "--out", "out", "--store", "store")
    return folder / "out"


def test_methods_on_the_same_patterns_have_the_same_bound(finished):
    table = pd.read_csv(finished / "results.csv").set_index(["reconstructor", "acquisition.dose_e_per_A2"])["bound_rmsd_pm"]
    assert 0.1 < table["MSET", 2e5] < 20
    (phases,) = {method for method, _ in table.index} - {"MSET", "WBP"}
    assert (table[phases].dropna() == table["MSET"].dropna()).all()
    assert table.xs(np.inf, level=1).isna().all()  # no dose, no bound
    assert table["WBP"].isna().all()  # virtual images


def test_the_report_shows_it(finished):
    summary = (finished / "tables" / "summary.md").read_text()
    assert "Cramér–Rao bound (pm)" in summary
    assert "RMSD / bound" in summary
    assert "Cramér–Rao bound of Au (pm)" in summary
