"""Half sets share no tilt, hold half of the dose, and agree as far as the images do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchsuite import contract_suite
from benchsuite.data import Reconstruction, Volume
from benchsuite.metrics.resolution import HalfSetFSC
from benchsuite.physics.rotations import single_axis
from benchsuite.runner.graph import graph_of
from benchsuite.runner.loop import CellFailure
from benchsuite.runner.stages import reconstruction
from benchsuite.runner.stages.base import Bench, ensure
from benchsuite.runner.stages.half_series import tilt_order
from benchsuite.scenario import load
from benchsuite.storage import SERIES, load_series
from benchsuite.store import Store

OWN = """\
schema: 1
name: own
phantom: none
series: {file: s.npy, tilts: [0, 40, -40, 20, -20], scan_step_A: 0.4, energy_keV: 300, semiangle_mrad: 21, dose_e_per_A2: 1e4}
reconstructors: [wbp]
analysis: {species: [Cu]}
"""


@pytest.fixture
def cell(tmp_path):
    np.save(tmp_path / "s.npy", np.random.default_rng(0).random((5, 8, 8), dtype=np.float32))
    (tmp_path / "own.yaml").write_text(OWN)
    return load(tmp_path / "own.yaml").cells[0]


def test_halves_alternate_in_the_order_of_the_angles(cell, tmp_path):
    store = Store(tmp_path / "store")
    made = graph_of(cell)
    whole = load_series(ensure(store, made.series) / SERIES)
    even, odd = (load_series(ensure(store, half.source) / SERIES) for half in made.scores.halves)
    assert np.array_equal(even.data, whole.data[[0, 1, 2]])  # −40, 0, 40
    assert np.array_equal(odd.data, whole.data[[3, 4]])
    assert np.array_equal(odd.rotations, whole.rotations[[3, 4]])
    assert even.electrons_per_position == pytest.approx(whole.electrons_per_position)
    assert odd.electrons_per_position == pytest.approx(whole.electrons_per_position)


@pytest.mark.parametrize("axis", ["x", "y", (0.3, 0.9, 0.1)])
def test_the_order_is_that_of_the_angle_about_any_axis(axis):
    order = tilt_order(single_axis([0, 40, -40, 20, -20], axis))
    assert order.tolist() in ([2, 4, 0, 3, 1], [1, 3, 0, 4, 2])


def test_the_resolution_is_where_the_halves_part():
    rng, side, halves = np.random.default_rng(1), 48, []
    k = np.linalg.norm(np.stack(np.meshgrid(*[np.fft.fftfreq(side)] * 3, indexing="ij")), axis=0)
    common = np.where(k < 0.25, np.fft.fftn(rng.standard_normal((side,) * 3)), 0)
    for _ in range(2):
        own = np.where(k >= 0.25, np.fft.fftn(rng.standard_normal((side,) * 3)), 0)
        data = np.fft.ifftn(common + own).real.astype(np.float32)
        halves.append(Reconstruction(Volume(data, 0.5), None, np.empty((0, 2)), 0.0))
    whole = contract_suite.scored_problem()
    scores = HalfSetFSC().measure(replace(whole, halves=tuple(halves)))
    assert scores.values["resolution_half_sets_A"] == pytest.approx(2.0, rel=0.06)  # 0.25 of a voxel of 0.5 Å
    assert scores.curves["fsc_half_sets_correlation"][:11].min() > 0.99
    assert HalfSetFSC().measure(whole).values == {}


def test_a_half_that_fails_says_which(cell, tmp_path, monkeypatch):
    even, odd = graph_of(cell).scores.halves
    assert even.key != odd.key
    series = ensure(Store(tmp_path / "store"), odd.source)

    def fail(*given, **more):
        raise CellFailure("diverged", "nan")

    monkeypatch.setattr(reconstruction, "run_loop", fail)
    with pytest.raises(CellFailure) as failure:
        odd.make(tmp_path, [series], Bench())
    assert failure.value.reason == "of the odd tilts alone (analysis.half_sets): nan"
