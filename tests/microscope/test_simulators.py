"""Simulation engines as plugs: the contract of each, a plugged-in one from `validate` to scores, and what is refused."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import Atoms

from benchsuite import contract_suite, microscope, registry
from benchsuite.contract import Simulator
from benchsuite.contract.settings import Acquisition, Microscope, Simulation
from benchsuite.errors import BenchsuiteError, PhysicsError, ScenarioError
from benchsuite.results import Run
from benchsuite.runner.graph import graph_of
from benchsuite.runner.task import task_of
from benchsuite.runner.terms import agree, write_terms
from benchsuite.scenario import load
from benchsuite.store import Store

EXAMPLE = Path(__file__).parents[2] / "docs" / "how-to" / "projection.py"
BUILT_IN = ("abtem", "incoherent", "native")
SCENARIO = """\
schema: 1
name: projected
phantom: {kind: core_shell, atoms: 19, shell_layers: 1}
simulation: {engine: projection, params: {width_A: 0.4}}
acquisition:
  tilts: {range_deg: [-90, 90], count: 24}
  scan: {step_A: 0.4, positions: [36, 36]}
  detector: {inner_mrad: 22, outer_mrad: 32}
reconstructors: [wbp]
analysis: {species: [Cu, Au]}
figures: [histogram_grid]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("projected")
    (folder / "scenario.yaml").write_text(SCENARIO)
    shutil.copy(EXAMPLE, folder)
    registry.load_plugin(folder / "projection.py")
    return folder


@pytest.mark.parametrize("name", BUILT_IN)
def test_simulator_contract(name):
    contract_suite.check_simulator(registry.simulator(name))


def test_example_simulator_contract():
    assert registry.load_plugin(EXAMPLE) == ["projection"]
    contract_suite.check_simulator(registry.simulator("projection"))
    assert len(EXAMPLE.read_text().splitlines()) <= 40


def test_contract_suite_refuses_a_mirrored_image():
    class Mirrored(registry.simulator("incoherent")):
        def simulate(self, *arguments, **more):
            return {"adf": super().simulate(*arguments, **more)["adf"][..., ::-1].copy()}

    with pytest.raises(AssertionError, match=r"an atom at \(1\.92, 0\.50\) Å is imaged at"):
        contract_suite.check_simulator(Mirrored)


def test_plugged_in_engine_from_validation_to_scores(folder, cli_run):
    plugin = ("--plugin", "projection.py")
    assert "projection" in cli_run(folder, "list", "simulators", *plugin).stdout
    assert "width_A" in cli_run(folder, "info", "projection", *plugin).stdout
    assert "valid; 1 cells" in cli_run(folder, "validate", "scenario.yaml", *plugin).stdout
    cli_run(folder, "run", "scenario.yaml", "--out", "out", *plugin)
    row = pd.read_csv(folder / "out" / "results.csv").iloc[0]
    assert (row["status"], row["engine"]) == ("ok", "projection")
    assert row["n_matched"] >= 18
    assert row["rmsd_pm"] < 5
    run = Run(folder / "out")
    assert run.caveats == {"projection": registry.simulator("projection").caveat}
    assert run.caveats["projection"] in (folder / "out" / "tables" / "summary.md").read_text()
    image = run.cell("0000").series().data[0, 0]
    assert image.max() > 0.05 * 79**1.7 * 1e-5


def test_parameters_of_an_engine_are_part_of_the_key_and_what_it_does_not_read_is_not(folder):
    def key(*overrides):
        return str(graph_of(load(folder / "scenario.yaml", overrides=overrides).cells[0]).series.upstream()[0].key)

    assert key("simulation.params.width_A=0.7") != key()
    assert key("simulation.params={}") == key("simulation.params.width_A=0.5")
    assert key("simulation.sampling_A=0.05") == key()
    assert key("simulation.margin_A=1.0") != key()


def test_worker_of_a_simulation_is_forked_with_its_engine_imported(folder):
    cell, store = load(folder / "scenario.yaml").cells[0], Store(folder / "store")
    graph = graph_of(cell)
    stages = (graph.series.upstream()[0], graph.scores)
    assert [("simulator", "projection") in task_of(cell, [stage], store).classes for stage in stages] == [True, False]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("simulation.engine=projektion", "simulation.engine: unknown simulator 'projektion'; did you mean 'projection'?"),
        ("simulation.params={widht_A: 1}", "simulation.params.widht_A: unknown key; did you mean 'width_A'?"),
        ("simulation.params={width_A: -1}", "simulation.params.width_A: -1 must be greater than 0"),
        ("acquisition.mode=4dstem", "projection makes images only; mode 4dstem needs abtem or native"),
        ("simulation={engine: abtem, params: {width_A: 1.0}}", "simulation.params.width_A: unknown key"),
    ],
)
def test_wrong_engine_is_refused_with_what_is_allowed(folder, override, message):
    with pytest.raises(ScenarioError) as refused:
        load(folder / "scenario.yaml", overrides=[override])
    assert message in str(refused.value)


def test_native_engine_leaves_images_to_abtem():
    native = Simulation(engine="native")
    assert microscope.engine_name(native, "4dstem") == "native"
    assert microscope.engine_name(native, "adf") == "abtem"
    assert microscope.engine_name(Simulation(engine="incoherent"), "adf") == "incoherent"


@pytest.mark.parametrize("name", BUILT_IN)
def test_forward_model_of_an_engine_is_a_module_that_it_uses(name):
    cls = registry.simulator(name)
    if cls.forward_model:
        module = f"benchsuite.physics.{cls.forward_model}"
        assert find_spec(module)
        assert module in registry.source_file(cls).read_text()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "Odd returned NoneType instead of arrays for ['adf']"),
        ({"image": np.zeros((1, 8, 8), np.float32)}, "Odd returned ['image'] instead of arrays for ['adf']"),
        ({"adf": np.zeros((8, 8), np.float32)}, "Odd returned adf data of shape (8, 8) and type float32; expected shape (1, 8, 8)"),
        ({"adf": np.zeros((1, 8, 8))}, "type float64"),
        ({"adf": np.full((1, 8, 8), np.nan, np.float32)}, "Odd returned adf data that are not finite"),
    ],
)
def test_engine_that_breaks_its_contract_is_named(monkeypatch, answer, message):
    class Odd(Simulator):
        title, reference = "odd", "none"

        def simulate(self, *arguments, **more):
            return answer

    monkeypatch.setitem(registry.PROCESS.plugins["simulator"], "odd", Odd)
    acquisition = Acquisition.model_validate({"tilts": {"angles_deg": [0.0]}, "scan": {"positions": [8, 8]}})
    with pytest.raises(PhysicsError) as refused:
        microscope.simulate(Atoms("Au", [(0, 0, 0)]), np.eye(3), Microscope(), Simulation(engine="odd", margin_A=0.5), acquisition)
    assert message in str(refused.value)


def test_libraries_of_plugged_in_engines_must_agree_on_a_cluster(monkeypatch, tmp_path):
    class Needy(registry.simulator("incoherent")):
        libraries = ("pluggy",)

    monkeypatch.setitem(registry.PROCESS.plugins["simulator"], "needy", Needy)
    file = write_terms(tmp_path, [])
    agree(str(file))
    terms = json.loads(file.read_text())
    assert {"abtem", "ase", "pluggy"} <= {*terms["in_keys"]}
    terms["libraries"]["pluggy"] = "0.1"
    file.write_text(json.dumps(terms))
    with pytest.raises(BenchsuiteError, match=r"pluggy .*, the runner has 0.1"):
        agree(str(file))
