"""Bad scenarios: every problem at once, with its place, what is allowed and the nearest name; never a traceback."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from benchsuite.errors import ScenarioError
from benchsuite.scenario import Cell, library, load
from benchsuite.scenario.positions import parse

GOOD = """\
schema: 1
name: good
phantom: {kind: core_shell, atoms: 55}
simulation: {method: prism, sampling_A: 0.2}
acquisition:
  tilts: {range_deg: [-90, 90], count: 5}
  scan: {step_A: 0.4, positions: [40, 40]}
  detector: {inner_mrad: 22, outer_mrad: 30}
reconstructors: [resire, {use: sirt, label: slow, iterations: 7}]
analysis: {species: [Cu, Au]}
"""


def write(tmp_path, text):
    file = tmp_path / "s.yaml"
    file.write_text(text) if isinstance(text, str) else file.write_bytes(text)
    return file


def problems(tmp_path, text, **options):
    with pytest.raises(ScenarioError) as caught:
        load(write(tmp_path, text), **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: good", "name: good\nnmae: x", ["s.yaml:3:1", "nmae", "did you mean 'name'"]),
        ("count: 5", "cuont: 5", ["s.yaml:6:", "cuont", "did you mean 'count'"]),
        ("count: 5", "count: 0", ["s.yaml:6:", "acquisition.tilts.count", "at least 1"]),
        ("count: 5", "count: many", ["'many'", "whole number"]),
        ("count: 5", "count: true", ["whole number"]),
        ("step_A: 0.4", "step_A: -0.4", ["acquisition.scan.step_A", "-0.4", "greater than 0"]),
        ("step_A: 0.4", "step_A: '0.4'", ["must be a number"]),
        ("outer_mrad: 30", "outer_mrad: 100", ["acquisition.detector.outer_mrad", "band limit", "33.2"]),
        ("outer_mrad: 30", "outer_mrad: 10", ["must exceed inner_mrad"]),
        ("species: [Cu, Au]", "species: [Cu, Xx]", ["analysis.species.1", "not a chemical element"]),
        ("kind: core_shell", "kind: cor_shell", ["did you mean 'core_shell'"]),
        ("atoms: 55", "atmos: 55", ["phantom.atmos", "did you mean 'atoms'"]),
        ("[resire,", "[resre,", ["did you mean 'resire'"]),
        ("iterations: 7", "iteration: 7", ["reconstructors.1.iteration", "did you mean 'iterations'"]),
        ("label: slow", "label: RESIRE", ["used twice"]),
        ("name: good", "name: good\nname: other", ["duplicate key", "s.yaml:2:1"]),
        ("name: good", "name: &a good", ["anchor &a"]),
        ("name: good", "name: !!python/object:os.system good", ["tag"]),
        ("range_deg: [-90, 90], count: 5", "angles_deg: []", ["at least one tilt"]),
        ("range_deg: [-90, 90], count: 5", "range_deg: [-90, 90]", ["count belong together"]),
        ("analysis:", "acquisition.dose: 3\nanalysis:", ["acquisition.dose"]),
        ("name: good", "name: good\nsweep: [{seed: 3}]", ["must be a list"]),
        ("name: good", "name: good\nsweep: [{zip: {seed: [1, 2], repeats: [1]}}]", ["unequal length"]),
        ("name: good", "name: good\nsweep: [{zip: {}}]", ["s.yaml:3:", "at least one key"]),
        ("name: good", "name: good\nsweep: [{acquisition.dose_e_per_A2: [1.0, -2.0]}]", ["-2.0", "greater than 0"]),
        ("name: good", "name: good\nsweep: [{acquisition.dosis: [1.0]}]", ["acquisition.dosis", "allowed"]),
        ("name: good", "name: good\npublished: [{where: {dose: 1}}]", ["is not swept"]),
        ("schema: 1", "schema: 2", ["schema"]),
        ("schema: 1\n", "", ["schema", "is missing"]),
    ],
)
def test_one_problem(tmp_path, old, new, expected):
    assert old in GOOD
    message = problems(tmp_path, GOOD.replace(old, new, 1))
    for part in expected:
        assert part in message


def test_all_problems_at_once(tmp_path):
    text = GOOD.replace("count: 5", "cuont: 5").replace("step_A: 0.4", "step_A: -1").replace("iterations: 7", "iterations: x")
    message = problems(tmp_path, text)
    assert all(part in message for part in ("cuont", "step_A", "iterations"))
    assert len(message.splitlines()) >= 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty"),
        ("# only a comment\n", "empty"),
        ("[1, 2]", "mapping"),
        ("a: [1, 2", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "second document"),
        (b"\xff\xfe\x00binary", "UTF-8"),
        ("a: " + "[" * 200 + "]" * 200, "nested deeper"),
        ("a: " + "9" * 5000, "must be"),
        ("a\x00b: 1", "not valid YAML"),
        ("a: &x [1]\nb: [*x, *x]\n", "alias"),
    ],
)
def test_not_a_scenario(tmp_path, text, expected):
    if "9999" in str(text):
        text = GOOD.replace("count: 5", "count: " + "9" * 5000)
    assert expected in problems(tmp_path, text)


def test_large_files_and_folders_and_missing_files(tmp_path):
    big = tmp_path / "big.yaml"
    with open(big, "wb") as file:
        file.truncate(50_000_000)
    for path, expected in ((big, "50,000,000 bytes"), (tmp_path, "folder"), (tmp_path / "no.yaml", "no such file")):
        with pytest.raises(ScenarioError, match=expected):
            load(path)
    with pytest.raises(ScenarioError, match="did you mean 'quickstart'"):
        load("quickstrat")


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.text(max_size=200), st.text(alphabet="{}[]:,&*!|>'\"%@`-? \n\tab1#", max_size=80)))
def test_any_text_is_a_document_or_a_scenario_error(text):
    with contextlib.suppress(ScenarioError):
        parse(text, "x")


def test_yaml_12_scalars():
    value = parse("a: 1e5\nb: no\nc: .inf\nd: 0x10\ne: '1'\nf: ~\ng: 1_0\n", "x").value
    assert value == {"a": 1e5, "b": "no", "c": math.inf, "d": 16, "e": "1", "f": None, "g": "1_0"}


def test_spellings_of_reconstructors(tmp_path):
    loaded = load(write(tmp_path, GOOD))
    assert [(c.reconstructor.name, c.reconstructor.label) for c in loaded.cells] == [("resire", "RESIRE"), ("sirt", "slow")]
    assert loaded.cells[1].reconstructor.params.iterations == 7


def test_sweeps_scales_and_overrides(tmp_path):
    text = GOOD + (
        "repeats: 2\n"
        "sweep:\n"
        "  - acquisition.dose_e_per_A2: [.inf, 1e6]\n"
        "  - zip: {seed: [1, 2, 3], simulation.sampling_A: [0.2, 0.19, 0.18]}\n"
        "scales: {smoke: {acquisition.tilts.count: 3, seed: 9}}\n"
    )
    file = write(tmp_path, text)
    loaded = load(file)
    assert len(loaded.cells) == 2 * 3 * 2 * 2
    assert len({cell.id for cell in loaded.cells}) == len(loaded.cells)
    assert {(c.swept["seed"], c.swept["simulation.sampling_A"]) for c in loaded.cells} == {(1, 0.2), (2, 0.19), (3, 0.18)}
    assert all(cell.experiment.simulation.sampling_A == cell.swept["simulation.sampling_A"] for cell in loaded.cells)
    assert load(file, "smoke").cells[0].experiment.acquisition.tilts.count == 3
    fixed = load(file, overrides=["acquisition.dose_e_per_A2=5e5", "reconstructors.slow.iterations=3"])
    assert len(fixed.cells) == 3 * 2 * 2
    assert fixed.cells[0].experiment.acquisition.dose_e_per_A2 == 5e5
    assert fixed.cells[-1].reconstructor.params.iterations == 3
    with pytest.raises(ScenarioError, match="allowed: desk, smoke"):
        load(file, "paper")
    with pytest.raises(ScenarioError, match=r"--set acquisition\.dosis=3"):
        load(file, overrides=["acquisition.dosis=3"])


def test_an_unnamed_section_swept_beside_a_named_one_gets_no_column():
    loaded = load("mset_2023/fig7")
    assert loaded.sweep_keys == ("phantom", "acquisition.dose_e_per_A2")
    assert {(cell.swept["phantom"], cell.experiment.analysis.species[0]) for cell in loaded.cells} == {("CuAu", "Cu"), ("BaO", "O")}


def test_a_swept_parameter_concerns_its_reconstructor_only(tmp_path):
    loaded = load(write(tmp_path, GOOD + "sweep: [{reconstructors.slow.iterations: [1, 2, 3]}]\n"))
    assert [(c.reconstructor.label, c.swept["reconstructors.slow.iterations"]) for c in loaded.cells] == [
        ("RESIRE", None),
        ("slow", 1),
        ("slow", 2),
        ("slow", 3),
    ]


REFINED = GOOD.replace("iterations: 7}", "iterations: 7}, {refine: {use: lot, from: slow}}")


def test_a_refinement_carries_the_cell_whose_atoms_it_starts_from(tmp_path):
    for text in (REFINED, REFINED.replace("{refine: {use: lot, from: slow}}", "{use: lot, from: Slow}")):
        cell = load(write(tmp_path, text)).cells[2]
        assert (cell.reconstructor.label, cell.initial.reconstructor.label) == ("slow + LOT", "slow")
        assert cell.initial.reconstructor.params.iterations == 7
        assert Cell.model_validate_json(cell.model_dump_json()) == cell
    again = load(write(tmp_path, yaml.safe_dump(dict(load(write(tmp_path, REFINED)).resolved))))
    assert again.cells == load(write(tmp_path, REFINED)).cells


def test_sweep_of_a_reconstruction_concerns_its_refinement(tmp_path):
    loaded = load(write(tmp_path, REFINED + "sweep: [{reconstructors.slow.iterations: [1, 2]}]\n"))
    assert [(c.reconstructor.label, c.swept["reconstructors.slow.iterations"]) for c in loaded.cells] == [
        ("RESIRE", None),
        ("slow", 1),
        ("slow + LOT", 1),
        ("slow", 2),
        ("slow + LOT", 2),
    ]
    assert [c.initial.reconstructor.params.iterations for c in loaded.cells if c.initial] == [1, 2]


PREPROCESSED = GOOD.replace(
    "iterations: 7}", "iterations: 7, preprocess: [msp: {slices: 2}, scale, {use: denoise, strength: 0.5}]}"
)


def test_steps_of_a_series_are_read_and_swept_by_name(tmp_path):
    text = PREPROCESSED + "sweep:\n  - reconstructors.slow.preprocess.msp.slices: [1, 3]\n"
    cells = [cell for cell in load(write(tmp_path, text)).cells if cell.reconstructor.label == "slow"]
    assert [cell.reconstructor.preprocess[0].params.slices for cell in cells] == [1, 3]
    assert [step.name for step in cells[0].reconstructor.preprocess] == ["msp", "scale", "denoise"]
    assert cells[0].reconstructor.preprocess[2].params.strength == 0.5
    assert Cell.model_validate_json(cells[0].model_dump_json()) == cells[0]


def test_steps_may_be_swept_as_a_whole_and_set_by_a_scale(tmp_path):
    text = PREPROCESSED + "sweep:\n  - reconstructors.slow.preprocess: [[msp], [msp, {scale: {}}]]\n"
    cells = [cell for cell in load(write(tmp_path, text)).cells if cell.reconstructor.label == "slow"]
    assert [[step.name for step in cell.reconstructor.preprocess] for cell in cells] == [["msp"], ["msp", "scale"]]


def test_steps_that_do_not_fit_are_refused(tmp_path):
    assert "mset takes 4dstem series, but background makes adf" in problems(
        tmp_path, GOOD.replace("reconstructors: [", "reconstructors: [{use: mset, preprocess: [background]}, ", 1)
    )
    assert "must be a name, or name: {...}" in problems(tmp_path, PREPROCESSED.replace("scale,", "{scale: {use: msp}},"))
    assert "did you mean 'scale'" in problems(tmp_path, PREPROCESSED.replace(" scale,", " scal,"))
    assert "preprocess.0.slice" in problems(tmp_path, PREPROCESSED.replace("slices: 2", "slice: 2"))
    assert "msp takes 4dstem series, but msp makes phase" in problems(tmp_path, PREPROCESSED.replace("scale,", "msp,"))
    assert "'msp' must be a list of steps" in problems(tmp_path, GOOD.replace("iterations: 7}", "iterations: 7, preprocess: msp}"))
    entry = GOOD.replace("reconstructors: [", "reconstructors: [{use: mset, preprocess: [msp]}, ", 1)
    assert "mset takes 4dstem series, but msp makes phase" in problems(tmp_path, entry)


def test_a_refinement_of_nothing_is_refused(tmp_path):
    found = problems(tmp_path, REFINED.replace("from: slow", "from: slov"))
    assert "reconstructors.2.from: 'slov' is not the label of an entry above; did you mean 'slow'?" in found
    assert "wbp cannot refine another reconstruction" in problems(tmp_path, REFINED.replace("use: lot", "use: wbp"))
    assert "None is not the label of an entry above" in problems(tmp_path, REFINED.replace(", from: slow", ""))
    assert "must be refine: {use: ..., from: ...}" in problems(tmp_path, REFINED.replace("{use: lot, from: slow}", "[lot, slow]"))
    swept = load(write(tmp_path, REFINED), overrides=["reconstructors.slow + LOT.from=resire"]).cells[2]
    assert swept.initial.reconstructor.label == "RESIRE"


@pytest.mark.parametrize("name", library.names())
def test_the_library_is_valid_in_every_scale(name):
    scales = {"desk", *load(name).scenario.scales}
    for scale in scales:
        loaded = load(name, scale)
        assert loaded.cells
        cell = loaded.cells[-1]
        assert Cell.model_validate_json(cell.model_dump_json()) == cell


def test_particles_are_numbers_of_the_documented_size():
    cell = load("mset_2023/fig3", "paper").cells[0]
    assert cell.experiment.phantom.params.atoms == 1602
    assert np.isinf(cell.experiment.acquisition.dose_e_per_A2)


OWN = (
    "{use: mset, experiment: {acquisition.mode: 4dstem, acquisition.camera.pixels: [40, 40], simulation.method: multislice, "
    "analysis.threshold: 0.2}}"
)


def test_a_reconstructor_may_ask_for_its_own_experiment(tmp_path):
    text = GOOD.replace("reconstructors: [", f"reconstructors: [{OWN}, ", 1)
    cells = load(write(tmp_path, text)).cells
    own, other = cells[0].experiment, cells[1].experiment
    assert (own.acquisition.mode, own.analysis.threshold) == ("4dstem", 0.2)
    assert (other.acquisition.mode, other.analysis.threshold) == ("adf", 0.05)
    assert Cell.model_validate_json(cells[0].model_dump_json()) == cells[0]
    assert "is not a section of an experiment" in problems(tmp_path, text.replace("acquisition.mode: 4dstem", "phantom.atoms: 3"))
    assert "did you mean 'threshold'" in problems(tmp_path, text.replace("analysis.threshold: 0.2", "analysis.treshold: 0.2"))
    assert "must be a name, or a mapping" in problems(tmp_path, text.replace(OWN, "{use: mset, experiment: 4}"))


def test_a_key_that_a_reconstructor_sets_itself_is_not_swept_for_it(tmp_path):
    entry = "{use: wbp, experiment: {microscope.defocus_A: 10}}"
    text = GOOD.replace("reconstructors: [", f"reconstructors: [{entry}, ", 1) + "sweep:\n  - microscope.defocus_A: [0, -5]\n"
    cells = [cell for cell in load(write(tmp_path, text)).cells if cell.reconstructor.name == "wbp"]
    assert [dict(cell.swept) for cell in cells] == [{"microscope.defocus_A": None}]
    assert cells[0].experiment.microscope.defocus_A == 10


def test_experiment_of_one_reconstructor_is_swept_with_the_specimen(tmp_path):
    """A single key of its experiment follows; the rest of that section stays, and the table has no column for it."""
    entry = "{use: sirt, label: focal, experiment: {microscope.defocus_A: [-1, 1]}}"
    zipped = (
        "sweep:\n  - zip:\n      seed: [1, 2]\n      reconstructors.focal.experiment.microscope.defocus_A: [[-2, 2], [-3, 3]]\n"
    )
    text = GOOD.replace("reconstructors: [", f"reconstructors: [{entry}, ", 1) + zipped
    loaded = load(write(tmp_path, text))
    focal = [cell for cell in loaded.cells if cell.reconstructor.label == "focal"]
    others = [cell for cell in loaded.cells if cell.reconstructor.label != "focal"]
    assert [cell.experiment.microscope.defocus_A for cell in focal] == [(-2, 2), (-3, 3)]
    assert focal[0].experiment.microscope.semiangle_mrad == others[0].experiment.microscope.semiangle_mrad
    assert all(cell.experiment.microscope.defocus_A == 0 for cell in others)
    assert list(loaded.sweep_keys) == ["seed"]
