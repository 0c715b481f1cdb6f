"""Named phantoms, experiments and analyses: written once, referred to, changed, swept, set, and missed with a clear message."""

from __future__ import annotations

import json

import pytest
import yaml

from benchsuite.errors import ScenarioError
from benchsuite.scenario import library, load
from benchsuite.scenario.positions import read_document

NAMED = """\
schema: 1
name: named
phantom: big
phantoms:
  big: {kind: core_shell, atoms: 55}
  small: {kind: core_shell, label: little, atoms: 13}
simulation: {method: prism, sampling_A: 0.2}
acquisition:
  tilts: {range_deg: [-90, 90], count: 5}
  scan: {step_A: 0.4, positions: [40, 40]}
  detector: {inner_mrad: 22, outer_mrad: 30}
experiments:
  focal: {microscope.defocus_A: [-6, 6], analysis.threshold: 0.2}
reconstructors:
  - resire
  - {use: lot, experiment: focal}
  - {use: lot, label: near, experiment: {use: focal, microscope.defocus_A: [-3, 3]}}
analysis: {use: coarse, blur_A: 0.3}
analyses:
  coarse: {species: [Cu, Au], minimum_distance_A: 1.5}
scales: {smoke: {phantom: small}}
"""


@pytest.fixture
def cells(tmp_path):
    """A function that gives the cells of a text with overrides, by the label of the reconstructor and the number of it."""

    def cells(text=NAMED, overrides=(), scale="desk"):
        file = tmp_path / "s.yaml"
        file.write_text(text)
        found = {}
        for cell in load(file, scale, overrides).cells:
            found.setdefault(cell.reconstructor.label, []).append(cell)
        return found

    return cells


def test_references_stand_for_their_definitions_with_changes(cells):
    plain, focal, near = (found[0].experiment for found in cells().values())
    assert (plain.phantom.label, plain.phantom.params.atoms) == ("big", 55)
    assert (plain.analysis.minimum_distance_A, plain.analysis.blur_A, plain.analysis.threshold) == (1.5, 0.3, 0.05)
    assert (focal.microscope.defocus_A, focal.analysis.threshold, focal.analysis.blur_A) == ((-6, 6), 0.2, 0.3)
    assert (near.microscope.defocus_A, near.analysis.threshold) == ((-3, 3), 0.2)
    assert cells(scale="smoke")["RESIRE"][0].experiment.phantom.params.atoms == 13


def test_overrides_reach_definitions_and_references(cells):
    found = cells(overrides=["experiments.focal.microscope.defocus_A=[1, 2]", "analyses.coarse.blur_A=0.1", "phantom.atoms=20"])
    assert found["LOT"][0].experiment.microscope.defocus_A == (1, 2)
    assert found["near"][0].experiment.microscope.defocus_A == (-3, 3)
    assert found["RESIRE"][0].experiment.phantom.params.atoms == 20
    assert found["RESIRE"][0].experiment.analysis.blur_A == 0.3
    found = cells(overrides=["phantom=small", "reconstructors.LOT.experiment.microscope.defocus_A=[1, 2]", "analysis=coarse"])
    assert found["RESIRE"][0].experiment.phantom.label == "little"
    assert found["RESIRE"][0].experiment.analysis.blur_A == 0.4
    assert (found["LOT"][0].experiment.microscope.defocus_A, found["LOT"][0].experiment.analysis.threshold) == ((1, 2), 0.2)


def test_changes_reach_into_mappings_of_the_definition(cells):
    text = NAMED.replace("atoms: 55}", "atoms: 55, substrate: {thickness_A: 20, radius_A: 12}}")
    found = cells(text, overrides=["phantom.substrate.thickness_A=7"])
    substrate = found["RESIRE"][0].experiment.phantom.substrate
    assert (substrate.thickness_A, substrate.radius_A) == (7, 12)


def test_names_are_swept_and_shown(cells):
    text = NAMED + "sweep: [{zip: {phantom: [big, small], analysis: [coarse, {use: coarse, blur_A: 0.2}]}}]\n"
    found = cells(text)["RESIRE"]
    assert [dict(cell.swept) for cell in found] == [{"phantom": "big"}, {"phantom": "little"}]
    assert [cell.experiment.phantom.label for cell in found] == ["big", "little"]
    assert [cell.experiment.analysis.blur_A for cell in found] == [0.4, 0.2]


def test_swept_experiment_key_concerns_the_reconstructors_that_use_it(cells):
    found = cells(NAMED + "sweep: [{experiments.focal.microscope.defocus_A: [[-1, 1], [-2, 2]]}]\n")
    assert [cell.experiment.microscope.defocus_A for cell in found["LOT"]] == [(-1, 1), (-2, 2)]
    assert (len(found["RESIRE"]), len(found["near"])) == (1, 1)
    text = NAMED.replace("{use: focal, microscope.defocus_A: [-3, 3]}", "focal")
    found = cells(text + "sweep: [{experiments.focal.microscope.defocus_A: [[-1, 1], [-2, 2]]}]\n")
    assert [[cell.experiment.microscope.defocus_A for cell in found[label]] for label in ("LOT", "near")] == [
        [(-1, 1), (-2, 2)]
    ] * 2


def test_the_values_of_a_swept_key_are_set_by_its_name(cells):
    text = NAMED + "sweep: [{zip: {seed: [1, 2], repeats: [1, 1]}}, {acquisition.dose_e_per_A2: [.inf, 1e5]}]\n"
    found = cells(text, overrides=["sweep.acquisition.dose_e_per_A2=[1e3]", "sweep.seed=[5, 6]", "sweep.grid.voxel_A=[0.4]"])
    swept = [tuple(cell.swept.values()) for cell in found["RESIRE"]]
    assert swept == [(5, 1, 1e3, 0.4), (6, 1, 1e3, 0.4)]


def test_a_resolved_scenario_gives_the_same_cells(cells, tmp_path):
    file = tmp_path / "resolved.yaml"
    loaded = load("cross_paper", "smoke", ["experiments.patterns.microscope.defocus_A=-150"])
    assert not {"phantoms", "experiments", "analyses"} & set(loaded.resolved)
    file.write_text(yaml.safe_dump(json.loads(json.dumps(dict(loaded.resolved)))))
    assert load(file).cells == loaded.cells


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("experiment: focal}", "experiment: fokal}", ["s.yaml:16:", "reconstructors.1.experiment", "did you mean 'focal'"]),
        ("phantom: big", "phantom: bg", ["s.yaml:3:", "'bg' is not defined in phantoms; did you mean 'big'"]),
        ("use: coarse", "use: course", ["s.yaml:18:", "'course' is not defined in analyses; did you mean 'coarse'"]),
        ("experiments:", "experiments:\n  spare: {simulation.slice_A: 1}", ["s.yaml:13:3", "experiments.spare", "is not used"]),
        ("minimum_distance_A: 1.5", "minimum_distanc_A: 1.5", ["s.yaml:20:", "did you mean 'minimum_distance_A'"]),
        ("atoms: 55", "atmos: 55", ["s.yaml:5:", "phantom.atmos", "did you mean 'atoms'"]),
        ("microscope.defocus_A: [-6", "microscop.defocus_A: [-6", ["s.yaml:13:", "did you mean 'microscope'"]),
        ("analysis.threshold: 0.2", "analysis.threshold: 2", ["s.yaml:13:", "analysis.threshold", "less than 1"]),
        ("  focal: {", "  focal: 3\n  other: {", ["s.yaml:13:", "experiments.focal", "must be a mapping"]),
        ("scales:", "sweep: [{experiments.focal.analysis.threshold: [2]}]\nscales:", ["s.yaml:21:", "less than 1"]),
        ("scales:", "sweep: [{experiments.fokal.analysis.blur_A: [2]}]\nscales:", ["s.yaml:21:", "did you mean 'focal'"]),
        ("scales:", "sweep: [{zip: {experiments.none.analysis.blur_A: [2]}}]\nscales:", ["s.yaml:21:", "is not defined"]),
        ("scales:", "sweep: [{phantoms.big.atoms: [13]}]\nscales:", ["s.yaml:21:", "phantoms.big.atoms", "is not swept"]),
        ("scales:", "sweep: [{phantom: [big, smal]}]\nscales:", ["s.yaml:21:25", "did you mean 'small'"]),
        ("phantoms:\n  big:", "phantoms:\n  b.ig:", ["phantoms.b.ig"]),
    ],
)
def test_problems_of_definitions_have_place_and_nearest_name(cells, old, new, expected):
    assert old in NAMED
    with pytest.raises(ScenarioError) as caught:
        cells(NAMED.replace(old, new, 1))
    for part in expected:
        assert part in str(caught.value)


def test_a_setting_of_an_unknown_definition_is_refused(cells):
    for key in ("experiments.fokal.microscope.defocus_A", "experiments.fokal"):
        with pytest.raises(ScenarioError, match=r"--set experiments\.fokal.*'fokal' is not defined in experiments; did you mean"):
            cells(overrides=[f"{key}=1"])


@pytest.mark.parametrize("name", library.names())
def test_no_scenario_of_the_library_states_a_mapping_twice(name):
    """A mapping with three keys or more that occurs again is worth a name."""
    stated = [json.dumps(one, sort_keys=True) for one in _mappings(read_document(library.resolve(name)).value) if len(one) >= 3]
    assert not {one for one in stated if stated.count(one) > 1}


def _mappings(value):
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _mappings(inner)
