"""The public names: six lines from a phantom to scores, equal to what a scenario gives, and the contents of a run."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

import benchsuite as bs
from benchsuite.errors import BenchsuiteError

README = Path(__file__).parents[1] / "README.md"

SCENARIO = """\
schema: 1
name: api
seed: 3
phantom: {kind: core_shell, atoms: 19, shell_layers: 1}
simulation: {method: prism, sampling_A: 0.2, prism_interpolation: 2}
acquisition:
  tilts: {range_deg: [-90, 90], count: 8}
  scan: {step_A: 0.4, positions: [36, 36]}
  detector: {inner_mrad: 22, outer_mrad: 32}
  dose_e_per_A2: 1e7
  imperfections: {drift_A: 0.1, tilt_error_deg: 0.5, background: 0.01}
reconstructors: [{resire: {iterations: 20}}]
analysis: {species: [Cu, Au]}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    (folder / "s.yaml").write_text(SCENARIO)
    return bs.run(folder / "s.yaml", out=folder / "out", store=folder / "store", workers=1)


@pytest.fixture(scope="module")
def steps():
    """Truth, series, reconstruction, atoms and scores of the same experiment, step by step."""
    truth = bs.phantom("core_shell", seed=3, atoms=19, shell_layers=1)
    series = bs.simulate(
        truth,
        seed=3,
        simulation={"method": "prism", "sampling_A": 0.2, "prism_interpolation": 2},
        tilts={"range_deg": [-90, 90], "count": 8},
        scan={"step_A": 0.4, "positions": [36, 36]},
        detector={"inner_mrad": 22, "outer_mrad": 32},
        dose_e_per_A2=1e7,
        imperfections={"drift_A": 0.1, "tilt_error_deg": 0.5, "background": 0.01},
    )
    answer = bs.reconstruct(series, "resire", seed=3, iterations=20)
    atoms = bs.trace(answer, species=["Cu", "Au"], seed=3)
    return truth, series, answer, atoms, bs.score(atoms, truth, answer, series)


def test_steps_equal_the_scenario(run, steps):
    truth, series, answer, atoms, scores = steps
    cell = run.cell("0000")
    assert np.array_equal(series.data, np.asarray(cell.series().data))
    assert np.array_equal(answer.volume.data, cell.reconstruction().volume.data)
    assert np.array_equal(atoms.positions, cell.traced().positions)
    assert np.array_equal(truth.positions, cell.truth().positions)
    row = run.table.iloc[0]
    compared = {name: value for name, value in scores.items() if name in row.index}
    assert len(compared) > 20
    assert {name: row[name] for name in compared} == pytest.approx(compared, rel=1e-12, nan_ok=True)


def test_run_is_a_table_arrays_and_atoms(run):
    assert run.table["status"].tolist() == ["ok"]
    cell = run.cell("0000")
    assert np.asarray(cell.series().data).shape == (8, 1, 36, 36)
    assert cell.reconstruction().volume.data.shape == (36, 36, 36)
    assert isinstance(cell.traced(), Atoms)


def test_python_of_the_readme_runs(run):
    steps, of_a_run = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(steps + of_a_run.replace("runs/quickstart-desk", str(run.folder)), names)
    assert names["scores"]["tracing_error_pct"] == 0
    assert names["scores"]["rmsd_pm"] < 20
    assert len(names["run"].table) == 1


def test_score_without_series_has_the_positions_only(steps):
    truth, _, _, atoms, whole = steps
    scores = bs.score(atoms, truth)
    assert scores["rmsd_pm"] == whole["rmsd_pm"]
    assert "resolution_fsc_A" in whole
    assert "resolution_fsc_A" not in scores


def test_preprocessing_and_metrics_by_name(steps):
    truth, series, answer, atoms, _ = steps
    assert bs.preprocess(series, "background").series.data.mean() < series.data.mean()
    assert "bound_rmsd_pm" in bs.score(atoms, truth, answer, series, metrics=["cramer_rao"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bs.phantom("core_shel"), "did you mean 'core_shell'"),
        (lambda: bs.phantom("core_shell", atom=19), "core_shell.atom: unknown key; did you mean 'atoms'"),
        (lambda: bs.simulate(Atoms("Au", [(0, 0, 0)]), tilts={"angles_deg": [0]}, dose=1.0), "acquisition.dose: unknown key"),
        (lambda: bs.simulate(Atoms("Au", [(90, 0, 0)]), tilts={"angles_deg": [0]}, frozen_phonons=None), "does not fit its box"),
        (lambda: bs.score(Atoms("Au"), Atoms("Au"), metrics=["cramer_roa"]), "did you mean 'cramer_rao'"),
    ],
)
def test_errors_name_what_is_allowed(call, message):
    with pytest.raises(BenchsuiteError, match=message):
        call()


def test_refusal_of_a_series_is_an_error(steps):
    with pytest.raises(BenchsuiteError, match=r"mset: skipped: .*4dstem"):
        bs.reconstruct(steps[1], "mset")


def test_every_public_name_is_there_and_imports_are_lazy():
    for name in bs.API:
        assert getattr(bs, name) is getattr(importlib.import_module(bs.API[name]), name)
    code = "import sys, benchsuite; print(sorted(name for name in sys.modules if name.startswith(('numpy', 'benchsuite.'))))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = bs.nothing
