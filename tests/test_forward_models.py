"""Forward models that a simulation shares with a reconstruction."""

from __future__ import annotations

import pytest

from benchsuite import registry
from benchsuite.code_version import code_version
from benchsuite.forward_models import shared_forward_model
from benchsuite.results import Run
from benchsuite.runner.folder import RunFolder
from benchsuite.scenario import load
from benchsuite.store import Store

MULTISLICE, GAUSSIANS = "benchsuite.physics.multislice.model", "benchsuite.physics.gaussians.image_model"


@pytest.mark.parametrize(
    ("engine", "method", "params", "shared"),
    [
        ("native", "mset", {}, MULTISLICE),
        ("native", "msp", {}, MULTISLICE),
        ("native", "lot", {"interaction": "multislice"}, MULTISLICE),
        ("native", "lot", {}, None),  # of virtual images
        ("native", "resire", {}, None),
        ("abtem", "mset", {}, None),
        ("incoherent", "lot", {}, GAUSSIANS),
        ("incoherent", "lot", {"interaction": "multislice"}, None),
        ("incoherent", "resire", {}, None),
    ],
)
def test_shared_forward_model_of_engine_and_reconstructor(engine, method, params, shared):
    cls = registry.reconstructor(method)
    assert shared_forward_model(registry.simulator(engine), cls(cls.Params(**params))) == shared


def test_shared_forward_model_includes_preprocessing_steps():
    step, method = registry.preprocessing("msp"), registry.reconstructor("resire")
    assert shared_forward_model(registry.simulator("native"), step(), method()) == MULTISLICE


def test_shared_forward_model_of_a_plugin_file_is_found_by_its_imports(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from benchsuite.contract import Reconstructor\n"
        "from benchsuite.physics.multislice.series_model import SeriesModel\n"
        "class Mine(Reconstructor):\n"
        "    modalities = ('4dstem',)\n"
        "    def reconstruct(self, series, context):\n"
        "        yield\n"
    )
    registry.load_plugin(file)
    assert shared_forward_model(registry.simulator("native"), registry.reconstructor("mine")()) == MULTISLICE


@pytest.mark.parametrize("engine", ["native", "incoherent"])
def test_the_forward_model_that_an_engine_declares_is_the_one_that_it_imports(engine):
    cls = registry.simulator(engine)
    assert f"benchsuite.physics.{cls.forward_model}" in code_version([cls.__module__])


def test_run_folder_states_which_methods_share_the_forward_model_of_their_data(tmp_path):
    folder = RunFolder(tmp_path / "run", load("mset_2023/fig9", "smoke"), Store(tmp_path / "store"))
    with folder.locked():
        folder.begin({})
    assert Run(tmp_path / "run").shared_forward_models == {"MSET": MULTISLICE, "SSET": MULTISLICE}
