"""Local orbitals end to end: images without multiple scattering, lists of atoms classified and scored, figures of both papers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchsuite.reports.figures.deviations import deviations, intervals
from benchsuite.reports.figures.size import lines
from benchsuite.results import Run

TINY = """\
schema: 1
name: tinylot
seed: 4
phantom: {kind: amorphous, atoms: 25}
microscope: {semiangle_mrad: 40}
simulation: {engine: incoherent, sampling_A: 0.1, slice_A: 2.0}
acquisition:
  tilts: {range_deg: [-70, 70], count: 15}
  scan: {step_A: 0.25, positions: [60, 60]}
  detector: {inner_mrad: 45, outer_mrad: 150}
reconstructors:
  - {use: lot, label: Direct, interaction: direct, iterations: 9}
  - {use: lot, label: nLOT, iterations: 9, experiment: {microscope.defocus_A: [-4, 4], acquisition.tilts.count: 9}}
sweep:
  - zip:
      phantom.atoms: [25, 40]
      reconstructors.nLOT.experiment.microscope.defocus_A: [[-4, 4], [-5, 5]]
analysis: {species: [Si]}
figures: [rmsd_against_atoms, deviation_by_depth, deviation_at_depths, deviation_distribution, difference_images, probe_sections,
  slice_grid, histogram_grid]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory, cli_run):
    folder = tmp_path_factory.mktemp("lot")
    (folder / "tiny.yaml").write_text(TINY)
    cli_run(folder, "run", "tiny.yaml", "--out", "out")
    return Run(folder / "out")


def test_every_atom_is_found_named_and_scored(run):
    table = pd.read_csv(run.folder / "results.csv")
    assert (table["status"] == "ok").all()
    assert (table["tracing_error_pct"] == 0).all()
    assert (table["classification_rate_pct"] == 100).all()
    assert (table["rmsd_pm"] < 5).all()
    assert table["r_factor"].between(0, 0.6).all()
    assert set(table["engine"]) == {"incoherent"}


def test_foci_belong_to_one_method_and_have_no_column(run):
    assert run.sweep_keys == ["phantom.atoms"]
    shapes = {row["reconstructor"]: run.cell(row["cell"]).series().data.shape for _, row in run.table.iterrows()}
    assert shapes == {"Direct": (15, 1, 60, 60), "nLOT": (9, 2, 60, 60)}


def test_every_table_says_how_the_images_were_made(run):
    tables = list((run.folder / "tables").glob("*.md"))
    assert {"summary.md", "sizes.md", "confusion.md"} <= {file.name for file in tables}
    assert all("incoherent engine" in file.read_text() for file in tables)


def test_the_figures_of_both_papers_are_drawn(run):
    assert "could not be drawn" not in (run.folder / "report" / "index.html").read_text()
    drawn = {file.stem for file in (run.folder / "figures").glob("*.png")}
    assert {"rmsd_against_atoms", "deviation_by_depth", "deviation_at_depths", "deviation_distribution"} <= drawn
    assert {"difference_images", "probe_sections", "slice_grid", "histogram_grid"} <= drawn


def test_lines_and_deviations_are_those_of_the_table(run):
    for line in lines(run):
        assert line.atoms.tolist() == [25, 40]
        assert line.intercept_pm + line.slope * 40e-6 == pytest.approx(line.rmsd_pm[1])
    first = run.table.iloc[0]
    depth, deviation = deviations(run.cell(first["cell"]))
    assert np.sqrt((deviation**2).mean()) == pytest.approx(first["rmsd_pm"])
    edges = intervals(depth)
    np.testing.assert_allclose(edges + edges[::-1], 0, atol=1e-9)
    assert np.abs(depth).max() <= edges[-1]


REFINED = """\
schema: 1
name: refined
seed: 5
phantom: {kind: core_shell, atoms: 43, lattice_A: 3.78, displacement_rms_A: 0.1}
simulation: {engine: incoherent, sampling_A: 0.1, slice_A: 2.0}
acquisition:
  tilts: {range_deg: [-75, 75], count: 15}
  scan: {step_A: 0.4, positions: [44, 44]}
  detector: {inner_mrad: 40, outer_mrad: 150}
reconstructors:
  - resire
  - refine: {use: lot, from: resire, interaction: rigid, weakest: 0.05}
analysis: {species: [Cu, Au], minimum_distance_A: 1.8, threshold: 0.1}
figures: []
"""


def test_refinement_improves_its_initial_atoms_and_counts_their_time(tmp_path, cli_run):
    (tmp_path / "refined.yaml").write_text(REFINED)
    cli_run(tmp_path, "run", "refined.yaml", "--out", "out", "--store", "store")
    first, refined = pd.read_csv(tmp_path / "out" / "results.csv").to_dict("records")
    assert (first["reconstructor"], refined["reconstructor"]) == ("RESIRE", "RESIRE + LOT")
    assert refined["rmsd_pm"] < 0.5 * first["rmsd_pm"]
    assert refined["tracing_error_pct"] == 0
    assert refined["classification_rate_pct"] == 100
    assert refined["reconstruct_s"] > first["reconstruct_s"]
    cli_run(tmp_path, "run", "refined.yaml", "--only", "RESIRE + LOT", "--out", "alone", "--store", "another")
    assert pd.read_csv(tmp_path / "alone" / "results.csv")["rmsd_pm"].item() == refined["rmsd_pm"]
