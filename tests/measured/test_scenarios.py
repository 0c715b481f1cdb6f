"""Scenarios with own data: what they may say, what the loader refuses, and that a cell is the same on the wire."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchsuite.errors import ScenarioError
from benchsuite.measured.settings import Frame, determinant
from benchsuite.runner.graph import graph_of
from benchsuite.scenario import Cell, load

OWN = """\
schema: 1
name: own
phantom: none
series: {file: data/s.npy, tilts: [-60, -20, 20, 60], scan_step_A: 0.4, energy_keV: 300, semiangle_mrad: 21}
reconstructors: [wbp]
analysis: {species: [Cu, Au]}
"""


@pytest.fixture
def scenario(tmp_path, stack):
    """A function that writes a scenario beside a folder with a stack and returns its file."""
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "s.npy", stack)
    (tmp_path / "data" / "true.xyz").write_text("2\n\nCu 0 0 0\nAu 2.5 0 0\n")

    def write(old="", new=""):
        assert old in OWN
        (tmp_path / "own.yaml").write_text(OWN.replace(old, new) if old else OWN + new)
        return tmp_path / "own.yaml"

    return write


def test_the_series_describes_the_experiment(scenario):
    e = load(scenario()).cells[0].experiment
    assert e.phantom is None
    assert (e.engine, e.recorded, e.acquisition.mode) == ("measured", "adf", "adf")
    assert (e.acquisition.scan.step_A, e.acquisition.scan.positions) == (0.4, (6, 8))
    assert len(e.acquisition.tilts.matrices) == 4
    assert e.microscope.energy_keV == 300


def test_a_cell_keeps_its_keys_on_the_wire_and_from_the_resolved_scenario(scenario, tmp_path, monkeypatch):
    loaded = load(scenario())
    cell = loaded.cells[0]
    back = Cell.model_validate_json(cell.model_dump_json())
    keys = [str(stage.key) for stage in graph_of(cell).stages()]
    assert [str(stage.key) for stage in graph_of(back).stages()] == keys
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "scenario.yaml").write_text(json.dumps(loaded.resolved))
    monkeypatch.chdir(tmp_path / "run")
    assert [str(stage.key) for stage in graph_of(load("scenario.yaml").cells[0]).stages()] == keys


def test_the_key_is_of_the_content_and_not_of_the_name(scenario, tmp_path, stack):
    first = graph_of(load(scenario()).cells[0]).series.key
    (tmp_path / "data" / "s.npy").rename(tmp_path / "data" / "other.npy")
    assert graph_of(load(scenario("s.npy", "other.npy")).cells[0]).series.key == first
    changed = stack.copy()
    changed[0, 0, 0] += 1e-3
    np.save(tmp_path / "data" / "other.npy", changed)
    assert graph_of(load(scenario("s.npy", "other.npy")).cells[0]).series.key != first
    assert graph_of(load(scenario("file: data/s.npy", "file: data/other.npy, clip_negative: true")).cells[0]).series.key != first


def test_a_large_file_is_hashed_once(tmp_path, monkeypatch):
    from benchsuite import content_hash as module

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "MIN_AGE_S", -1.0)
    (tmp_path / "large").write_bytes(b"content")
    first, reads = module.content_hash(tmp_path / "large"), []
    digest = module.hashlib.file_digest
    monkeypatch.setattr(module.hashlib, "file_digest", lambda *given: reads.append(1) or digest(*given))
    later = module.ContentHashes().content_hash  # of another process
    assert later(tmp_path / "large") == first
    assert reads == []
    (tmp_path / "large").write_bytes(b"Content")
    assert later(tmp_path / "large") != first
    assert reads == [1]


def test_half_sets_are_made_where_there_is_no_truth_or_they_are_asked_for(scenario):
    assert len(graph_of(load(scenario()).cells[0]).scores.halves) == 2
    assert len(graph_of(load(scenario("", "truth: {file: data/true.xyz}")).cells[0]).scores.halves) == 0
    asked = graph_of(load(scenario("[Cu, Au]}", "[Cu, Au], half_sets: true}\ntruth: {file: data/true.xyz}")).cells[0])
    assert len(asked.scores.halves) == 2
    assert [half.source.shape() for half in asked.scores.halves] == [(2, 1, 6, 8)] * 2
    assert len(graph_of(load(scenario("[Cu, Au]}", "[Cu, Au], half_sets: false}")).cells[0]).scores.halves) == 0
    assert len(graph_of(load(scenario("[wbp]", "[lot]")).cells[0]).scores.halves) == 0


def test_paths_of_the_command_line_start_here(scenario, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "data")
    own = load(scenario(), overrides=["series.file=s.npy"]).cells[0].experiment.measured
    assert own.series.file == str(tmp_path / "data" / "s.npy")
    with pytest.raises(ScenarioError, match=r"--set series\.file=data/s\.npy: series\.file: .*no such file"):
        load(scenario(), overrides=["series.file=data/s.npy"])


WRONG = [
    ("file: data", "fiel: data", ["own.yaml:4:", "series", "unknown key; did you mean 'file'?"]),
    ("data/s.npy", "data/none.npy", ["own.yaml:4:10: series.file", "none.npy", "no such file"]),
    ("60]", "60, 80]", ["own.yaml:4", "series.tilts", "5 angles in angles_deg for 4 tilts"]),
    ("scan_step_A: 0.4, ", "", ["series.file", "does not state scan_step_A; give it in series"]),
    ("0.4", "-0.4", ["series.scan_step_A", "greater than 0"]),
    ("tilts:", "flip: [q_y], tilts:", ["series.flip", "q_y; allowed: y, x"]),
    ("tilts:", "axes: [tilt, y], tilts:", ["series.axes", "for an array of shape (4, 6, 8) of kind adf"]),
    ("tilts:", "axes: [tilt, y, y], tilts:", ["series.axes", "an axis is named twice"]),
    ("tilts:", "normalise: patterns, tilts:", ["series.normalise", "patterns is for kind 4dstem, this is adf"]),
    ("tilts:", "normalise: electrons, tilts:", ["series.normalise", "electrons needs dose_e_per_A2"]),
    ("tilts:", "detector_mrad: [60, 40], tilts:", ["detector_mrad [60.0, 40.0]", "a larger outer one"]),
    ("tilts:", "defocus_A: [1, 2], tilts:", ["series.defocus_A", "2 values for 1 focus images"]),
    ("series: {", "series: {files: [data/s.npy], ", ["give exactly one of file and files"]),
    (
        "reconstructors",
        "microscope: {energy_keV: 200}\nreconstructors",
        ["own.yaml:5:1: microscope", "describe measured data in series"],
    ),
    ("reconstructors", "acquisition: {dose_e_per_A2: 1e5}\nreconstructors", ["acquisition: only applies to simulations"]),
    ("reconstructors", "repeats: 2\nreconstructors", ["repeats: 2", "no noise to re-sample; allowed: 1"]),
    ("reconstructors", "sweep: [{microscope.energy_keV: [1, 2]}]\nreconstructors", ["microscope", "only applies to simulations"]),
    ("phantom: none", "phantom: {kind: spinel, edge_A: 6}", ["series: only applies to measured data (phantom: none)"]),
    ("phantom: none", "phantom: nine", ["phantom", "'none'"]),
    ("reconstructors", "truth: {file: data/none.xyz}\nreconstructors", ["truth.file", "none.xyz", "no such file"]),
    ("reconstructors", "truth: {file: data/true.xyz, frame: {axes: [x, y, y]}}\nreconstructors", ["x, y and z once each"]),
    (
        "reconstructors",
        "truth: {file: data/true.xyz, frame: {axes: [y, x, z]}}\nreconstructors",
        ["left-handed: mirrored must be true"],
    ),
    (
        "reconstructors",
        "truth: {file: data/true.xyz, register: true, frame: {axes: [y, z, x]}}\nreconstructors",
        ["leave out frame"],
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), WRONG)
def test_every_mistake_is_named_with_its_place(scenario, old, new, expected):
    with pytest.raises(ScenarioError) as caught:
        load(scenario(old, new))
    for text in expected:
        assert text in str(caught.value), str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_frames_have_a_hand():
    assert determinant(("z", "-y", "x")) == 1
    assert determinant(("y", "x", "z")) == -1
    assert Frame(axes=("y", "x", "z"), mirrored=True).mirrored


def test_phases_are_for_methods_that_take_them(scenario):
    file = scenario("file: data/s.npy", "file: data/s.npy, kind: phase")
    file.write_text(file.read_text().replace("[wbp]", "[{use: mspt, iterations: 2, preprocess: [background]}]"))
    made = graph_of(load(file).cells[0])
    assert (made.series.modality, made.preprocessing[0].modality) == ("phase", "phase")
    assert Path(made.series.measured().series.file).is_absolute()
