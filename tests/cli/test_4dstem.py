"""A 4D-STEM scenario end to end: patterns for MSET, the virtual image of the same scan for RESIRE, report, export, interruption."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from benchsuite.measured.series import read_series
from benchsuite.physics.detector import virtual_images
from benchsuite.results import Run

TINY = """\
schema: 1
name: tiny4d
seed: 4
phantom: {kind: core_shell, atoms: 19, shell_layers: 1}
microscope: {defocus_A: -60}
simulation: {engine: native, sampling_A: 0.16}
acquisition:
  mode: 4dstem
  tilts: {range_deg: [-90, 90], count: 10}
  scan: {step_A: 1.0, positions: [14, 14]}
  camera: {pixels: [32, 32]}
  detector: {inner_mrad: 24, outer_mrad: 40}
reconstructors: [mset: {iterations: 8, slice_A: 3}, sset: {iterations: 8}, resire]
sweep: [{acquisition.dose_e_per_A2: [.inf, 2e5]}]
figures: [diffraction_patterns, contact_sheet, slice_grid, convergence]
analysis: {species: [Cu, Au], mask: particle, blur_A: 0.3, threshold: 0.2, minimum_distance_A: 1.8}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cli_run):
    folder = tmp_path_factory.mktemp("cli4d")
    (folder / "tiny.yaml").write_text(TINY)
    cli_run(folder, "run", "tiny.yaml", "--out", "out")
    return folder


def test_mset_and_sset_find_the_atoms(finished):
    table = pd.read_csv(finished / "out" / "results.csv")
    assert (table["status"] == "ok").all()
    by_patterns = table[table["reconstructor"].isin(["MSET", "SSET"])]
    assert (by_patterns["tracing_error_pct"] == 0).all()
    assert (by_patterns["rmsd_pm"] < 15).all()
    assert by_patterns["r_factor"].between(0, 2).all()


def test_a_method_for_images_gets_the_virtual_image_of_the_same_scan(finished):
    run = Run(finished / "out")
    series = {row["reconstructor"]: run.cell(cell).series() for cell, row in run.table.set_index("cell").iterrows()}
    assert series["MSET"].modality == "4dstem"
    assert series["RESIRE"].modality == "adf"
    assert series["RESIRE"].detector_mrad == (24, 40)
    assert series["RESIRE"].data.shape == series["MSET"].data.shape[:4]
    assert series["RESIRE"].electrons_per_position == series["MSET"].electrons_per_position


def test_the_report_shows_patterns_and_bright_field_images(finished):
    pages = (finished / "out" / "report" / "index.html").read_text()
    assert "could not be drawn" not in pages
    for name in ("diffraction_patterns", "contact_sheet", "slice_grid", "convergence"):
        assert (finished / "out" / "figures" / f"{name}.png").stat().st_size > 5000
        assert f"{name}.png" in pages


def test_exported_patterns_come_back_bit_for_bit(finished, cli_run):
    cell = next(c for c, row in Run(finished / "out").table.set_index("cell").iterrows() if row["reconstructor"] == "MSET")
    cli_run(finished, "export", "out", cell, "series", "patterns.emd")
    stored, back = Run(finished / "out").cell(cell).series(), read_series(finished / "patterns.emd")
    np.testing.assert_array_equal(np.asarray(back.data), np.asarray(stored.data))
    np.testing.assert_array_equal(back.rotations, stored.rotations)
    assert ".emd" in cli_run(finished, "export", "out", cell, "series", "patterns.mrc", status=2).stderr


def test_virtual_images_of_stored_patterns(finished):
    run = Run(finished / "out")
    series = run.cell(run.table["cell"][0]).series()
    bright = virtual_images(series, 0.0, 10.0)
    assert bright.shape == series.data.shape[:4]
    assert 0.05 < bright.min() < bright.max() < 0.5
    with pytest.raises(ValueError, match=r"the camera reaches to .* mrad, not to 90 mrad"):
        virtual_images(series, 0.0, 90.0)


def saved(checkpoints):
    """Whole checkpoints; what a kill left half-written is none."""
    return [file for file in checkpoints.rglob("manifest.json") if ".tmp-" not in str(file)]


def test_killed_reconstruction_continues_to_the_same_result(finished, cli_run):
    """Runner and worker are killed in mid-reconstruction; the same command ends with the result of an undisturbed run."""
    words = ["run", "tiny.yaml", "--only", "MSET", "--set", "reconstructors.MSET.iterations=60", "--set", "sweep=[]"]
    words += ["--set", "figures=[]"]
    often = {"BENCHSUITE_CHECKPOINT_S": "0.2"}
    first = cli_run.start(finished, *words, "--out", "killed", env=often)
    checkpoints = finished / ".benchsuite" / "store" / "checkpoint"
    deadline = time.monotonic() + 120
    while not saved(checkpoints) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert saved(checkpoints), "no checkpoint was written"
    first.kill()
    first.communicate()
    cli_run(finished, *words, "--out", "killed", env=often)
    cli_run(finished, *words, "--out", "undisturbed", "--store", "other-store")
    one, two = (pd.read_csv(finished / name / "results.csv") for name in ("killed", "undisturbed"))
    assert one["rmsd_pm"][0] == two["rmsd_pm"][0]
    assert not saved(checkpoints), "checkpoints of a finished reconstruction are left"
