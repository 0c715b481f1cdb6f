"""A simulated series that is exported and read as somebody's own gives the same bits and the same scores, truth in any frame."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.io import write

from benchsuite import contract_suite
from benchsuite.export import export_cell
from benchsuite.measured.array import MeasuredArray
from benchsuite.measured.files import write_series
from benchsuite.physics.detector import virtual_images
from benchsuite.physics.rotations import rotation
from benchsuite.reports import write_report
from benchsuite.results import Run
from benchsuite.runner.graph import graph_of
from benchsuite.runner.run import Settings, run
from benchsuite.runner.stages.base import ensure
from benchsuite.runner.stages.scores import VALUES, match_remarks
from benchsuite.scenario import load
from benchsuite.storage import SERIES, load_atoms, load_series
from benchsuite.store import Store

ADF = """\
schema: 1
name: simulated
seed: 4
phantom: {kind: core_shell, atoms: 43}
simulation: {method: prism, sampling_A: 0.2, prism_interpolation: 2}
acquisition:
  tilts: {range_deg: [-90, 90], count: 12}
  scan: {step_A: 0.4, positions: [40, 40]}
  detector: {inner_mrad: 22, outer_mrad: 31}
reconstructors: [resire: {iterations: 30}]
"""
PATTERNS = """\
schema: 1
name: simulated
phantom: {kind: core_shell, atoms: 19, shell_layers: 1}
microscope: {semiangle_mrad: 20, defocus_A: -60}
simulation: {engine: native, sampling_A: 0.2}
acquisition:
  mode: 4dstem
  tilts: {range_deg: [-60, 60], count: 4}
  scan: {step_A: 1.6, positions: [10, 10]}
  camera: {pixels: [40, 40]}
  detector: null
reconstructors: [sset: {iterations: 2}]
"""
ANALYSIS = "analysis: {species: [Cu, Au], minimum_distance_A: 1.8, registration: rigid}\n"
SCORES = ("rmsd_pm", "tracing_error_pct", "classification_rate_pct", "n_true", "n_traced", "r_factor", "resolution_fsc_A")


def scored(folder, name, text):
    """Make the scores of every cell of a scenario here, and return them by the first swept value, or the method."""
    (folder / f"{name}.yaml").write_text(text + ANALYSIS)
    store, table = Store(folder / "store"), {}
    for cell in load(folder / f"{name}.yaml").cells:
        made = graph_of(cell)
        found = json.loads((ensure(store, made.scores) / VALUES).read_text())
        key = next(iter(cell.swept.values()), cell.reconstructor.label)
        series = load_series(store.path(made.series.key) / SERIES)
        table[str(key).rsplit("/", 1)[-1]] = {
            **found,
            "remarks": match_remarks(made.scores.match, store),
            "series": series,
            "flow": made,
        }
    return table


def export(series, file):
    run_ = SimpleNamespace(records={"0": {}}, folder="run", cell=lambda _: SimpleNamespace(series=lambda: series))
    export_cell(run_, "0", "series", file)


def same_bits(one, two):
    one, two = np.asarray(one.data), np.asarray(two.data)
    return one.shape == two.shape and np.array_equal(one.view(np.uint32), two.view(np.uint32))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adf")
    (before,) = scored(folder, "simulated", ADF).values()
    for name in ("s.emd", "s.mrc", "s.tif", "s.zarr"):
        export(before["series"], folder / name)
    truth = load_atoms(Store(folder / "store").path(before["flow"].scores.match.truth.key) / "truth.extxyz")
    write(folder / "truth.xyz", Atoms(truth.numbers, truth.positions), format="extxyz")
    return folder, before, truth


def test_images_come_back_from_every_format(simulated):
    folder, before, _ = simulated
    own = "schema: 1\nname: own\nphantom: none\nseries: {file: s.emd, energy_keV: 300, semiangle_mrad: 21}\n"
    own += "sweep: [{series.file: [s.emd, s.mrc, s.tif, s.zarr]}]\ntruth: {file: truth.xyz}\n"
    own += "reconstructors: [resire: {iterations: 30}]\n"
    table = scored(folder, "own", own)
    assert list(table) == ["s.emd", "s.mrc", "s.tif", "s.zarr"]
    for name, found in table.items():
        assert same_bits(found["series"], before["series"])
        for score in SCORES:
            assert found[score] == pytest.approx(before[score], rel=1e-6), (name, score)
    assert before["rmsd_pm"] < 30


FRAMES = """\
sweep:
  - truth:
      - {label: stated, file: permuted.xyz, frame: {axes: [z, -y, x], centre: [5, 6, 7]}}
      - {label: found, file: rotated.xyz, register: true}
      - {label: mirrored, file: mirrored.xyz, register: true}
      - {label: another, file: another.xyz, register: true}
"""


def test_a_truth_in_another_frame_gives_the_same_scores(simulated):
    folder, before, truth = simulated
    numbers, positions = truth.numbers, truth.positions
    rotated = positions @ (rotation([1, 2, -1], 8) @ np.array([[0, 0, 1.0], [0, -1, 0], [1, 0, 0]])).T + [5, -3, 2]
    others = np.random.default_rng(3).uniform(-8, 8, (9 * len(truth), 3))
    kept = [i for i in range(len(others)) if i == 0 or np.linalg.norm(others[:i] - others[i], axis=1).min() > 1.2][: len(truth)]
    for name, placed in (
        ("permuted", positions[:, ::-1] * [1, -1, 1] + [5, 6, 7]),
        ("rotated", rotated),
        ("mirrored", positions * [1, 1, -1]),
        ("another", others[kept]),
    ):
        write(folder / f"{name}.xyz", Atoms(numbers[: len(placed)], placed))
    text = "schema: 1\nname: frames\nphantom: none\nseries: {file: s.emd}\nreconstructors: [resire: {iterations: 30}]\n" + FRAMES
    table = scored(folder, "frames", text)
    for label in ("stated", "found"):
        for score in SCORES:
            assert table[label][score] == pytest.approx(before[score], rel=1e-3), (label, score)
    assert table["stated"]["remarks"] == []
    assert table["found"]["remarks"][0].startswith("truth registered: axes [")
    assert table["found"]["registration_fit"] > 0.9
    assert "mirrored: check handedness" in " ".join(table["mirrored"]["remarks"])
    assert table["mirrored"]["registration_mirrored_fit"] == pytest.approx(table["found"]["registration_fit"], abs=1e-3)
    assert "truth not registered" in table["another"]["remarks"][0]
    assert table["another"]["n_traced"] == before["n_traced"]
    assert not {"rmsd_pm", "n_true", "n_missed", "resolution_fsc_A"} & set(table["another"])


def test_report_without_ground_truth_has_no_invented_scores(simulated):
    folder, before, _ = simulated
    text = "schema: 1\nname: alone\nphantom: none\nseries: {file: s.emd}\nreconstructors: [resire: {iterations: 30}, wbp]\n"
    (folder / "alone.yaml").write_text(text + ANALYSIS)
    assert run(load(folder / "alone.yaml"), Settings(folder / "alone", folder / "store", workers=2)) == 0
    table = pd.read_csv(folder / "alone" / "results.csv").set_index("reconstructor")
    of_truth = ["rmsd_pm", "tracing_error_pct", "n_true", "n_matched", "n_false_positive", "n_missed", "resolution_fsc_A"]
    assert table.reindex(columns=of_truth).isna().all(axis=None)
    assert not any("recall" in name or "sites" in name for name in table)
    assert table.loc["RESIRE", "r_factor"] == pytest.approx(before["r_factor"], rel=1e-6)
    assert (table["resolution_half_sets_A"] > 0.79).all()
    curves = Run(folder / "alone").cell("0000").curves()
    assert curves["fsc_half_sets_correlation"][:5].min() > 0.5
    assert "pdf_truth" not in curves
    assert Run(folder / "alone").cell("0000").truth() is None
    page = write_report(Run(folder / "alone")).read_text()
    assert "The ground truth of these data is not known" in page
    assert "could not be drawn" not in page
    head = (folder / "alone" / "tables" / "summary.md").read_text().splitlines()[0]
    assert "FSC resolution of half sets (Å)" in head
    assert not any(word in head for word in ("RMSD", "Tracing", "Classification", "Recall"))


@pytest.mark.slow
def test_patterns_come_back_with_their_scores(tmp_path):
    (before,) = scored(tmp_path, "simulated", PATTERNS).values()
    series = before["series"]
    for name in ("s.emd", "s.zarr"):
        export(series, tmp_path / name)
    for tilt in range(4):
        np.save(tmp_path / f"tilt_{tilt}.npy", series.data[tilt][0])
    facts = "tilts: [-60, -20, 20, 60], energy_keV: 300, semiangle_mrad: 20, defocus_A: -60, scan_step_A: 1.6"
    facts += f", reciprocal_step_per_A: {series.reciprocal_step_per_A!r}"
    own = "schema: 1\nname: own\nphantom: none\nreconstructors: [sset: {iterations: 2}]\nseries: {file: s.emd}\n"
    own += f"sweep: [{{series: [{{file: s.emd}}, {{file: s.zarr}}, {{files: 'tilt_*.npy', {facts}}}]}}]\n"
    table = scored(tmp_path, "own", own)
    assert len(table) == 3
    for found in table.values():
        assert same_bits(found["series"], series)
        assert [found[name] for name in ("r_factor", "n_traced")] == [before[name] for name in ("r_factor", "n_traced")]


def test_patterns_come_in_tilt_by_tilt_and_give_virtual_images(tmp_path, monkeypatch):
    series, _ = contract_suite.small_problem("4dstem")
    (write_series(series, tmp_path / "s.emd"), write_series(series, tmp_path / "s.zarr"))
    text = "schema: 1\nname: own\nphantom: none\nseries: {file: s.emd, detector_mrad: [5, 15]}\nreconstructors: [mset, resire]\n"
    text += "sweep: [{series.file: [s.emd, s.zarr]}]\n"
    (tmp_path / "own.yaml").write_text(text + ANALYSIS)
    cells, store, largest = load(tmp_path / "own.yaml").cells, Store(tmp_path / "store"), []
    tilt = MeasuredArray.tilt
    monkeypatch.setattr(MeasuredArray, "tilt", lambda self, one: largest.append(tilt(self, one).nbytes) or tilt(self, one))
    for cell in cells:
        made = graph_of(cell).series
        recorded = load_series(ensure(store, made) / SERIES)
        if cell.reconstructor.label == "MSET":
            assert same_bits(recorded, series)
            assert np.array_equal(recorded.rotations, series.rotations)
        else:
            assert (recorded.modality, recorded.detector_mrad) == ("adf", (5.0, 15.0))
            assert np.array_equal(recorded.data, virtual_images(series, 5.0, 15.0))
        assert made.shape() == recorded.data.shape
    assert max(largest) == series.data[0].nbytes
