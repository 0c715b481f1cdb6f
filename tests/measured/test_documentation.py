"""The scenarios of docs/how-to/bring-your-data.md run on files as it describes them."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchsuite import contract_suite
from benchsuite.measured.settings import Truth
from benchsuite.physics.rotations import single_axis
from benchsuite.runner.graph import graph_of
from benchsuite.runner.stages.base import ensure
from benchsuite.scenario import load
from benchsuite.scenario.positions import parse
from benchsuite.storage import SERIES, load_series
from benchsuite.store import Store

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "bring-your-data.md"
SCENARIOS = dict(re.findall(r"<!-- run: (\S+) -->\n```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, writers):
    """The files that the page speaks of, and its scenarios beside them."""
    folder, angles = tmp_path_factory.mktemp("page"), np.array([-60.0, -20.0, 20.0, 60.0])
    images = contract_suite.gaussian_series(contract_suite.CHIRAL_A, single_axis(angles)).data[:, 0]
    writers["s.mrc"](folder / "tilts.mrc", images + np.float32(0.5))
    np.savetxt(folder / "tilts.rawtlt", angles, fmt="%.2f")
    with h5py.File(folder / "run7.h5", "w") as stream:
        stream["data/stack"] = np.moveaxis(images[:, ::-1], 0, 2)
    (folder / "angles.csv").write_text("tilt (degrees)\n60\n20\n-20\n-60\n")
    patterns = contract_suite.diffraction_series(contract_suite.CHIRAL_A, single_axis(angles)).data[:, 0]
    for number, cube in zip((1, 2, 10, 11), patterns, strict=True):
        with h5py.File(folder / f"pattern_{number}.h5", "w") as stream:
            stream["patterns"] = np.round(cube * 2e6).astype(np.uint16)
    for name, text in SCENARIOS.items():
        (folder / name).write_text(text)
    return folder


def test_the_page_has_its_scenarios():
    assert list(SCENARIOS) == ["images.yaml", "stack.yaml", "patterns.yaml"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_of_the_page_runs(folder, name):
    store = Store(folder / "store")
    for cell in load(folder / name).cells:
        made = graph_of(cell)
        assert ensure(store, made.scores).is_dir()
        series = load_series(store.path(made.series.key) / SERIES)
        assert float(np.min(series.data)) >= 0
        if name == "patterns.yaml" and series.modality == "4dstem":
            assert np.asarray(series.data).sum(axis=(4, 5)).mean() == pytest.approx(1, rel=1e-5)
        if name == "images.yaml":
            assert float(np.min(series.data)) == 0


def test_the_truths_of_the_page_are_valid():
    for line in re.findall(r"^truth: .*$", PAGE.read_text(encoding="utf-8"), flags=re.M):
        Truth.model_validate(parse(line, "page").value["truth"])
