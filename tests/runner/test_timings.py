"""Timing in turn: who is called when, what is concluded, and what is refused. Clocks are made up."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.errors import BenchsuiteError
from benchsuite.runner.timings import in_turn, judged, timings
from benchsuite.scenario import load
from benchsuite.store import Store


def clock(called, name, seconds):
    def measure():
        called.append(name)
        return seconds() * (100.0 if called.count(name) == 1 else 1.0)  # a first call compiles

    return measure


def test_both_are_warmed_up_and_take_turns_at_beginning():
    called = []
    seconds = in_turn(clock(called, "A", lambda: 1.0), clock(called, "B", lambda: 2.0), 3)
    assert "".join(called) == "ABABBAAB"
    np.testing.assert_array_equal(seconds, [[1.0, 2.0]] * 3)


@pytest.mark.parametrize(("factor", "verdict"), [(1.2, "slower"), (0.8, "faster"), (1.0, "unchanged"), (1.01, "unchanged")])
def test_a_machine_that_gets_slower_and_slower_does_not_matter(factor, verdict):
    rng, load_ = np.random.default_rng(0), iter(np.linspace(1, 5, 100))
    base = clock([], "A", lambda: next(load_) * (1 + 0.005 * rng.standard_normal()))
    candidate = clock([], "B", lambda: factor * next(load_) * (1 + 0.005 * rng.standard_normal()))
    found = judged(in_turn(base, candidate, 9))
    assert found.verdict == verdict
    assert found.bounds[0] < factor * 1.03
    assert found.bounds[1] > factor * 0.97


def test_noise_is_inconclusive():
    seconds = np.exp(0.3 * np.random.default_rng(1).standard_normal((9, 2)))
    assert judged(seconds).verdict == "inconclusive"


def test_timings_of_a_scenario(tiny_scenario, tmp_path):
    (tmp_path / "tiny.yaml").write_text(tiny_scenario)
    cells, store = load(tmp_path / "tiny.yaml").cells, Store(tmp_path / "store")
    for words, options in (("at least 5", {"rounds": 3}), ("did you mean 'WBP'", {"base": "WPB"})):
        with pytest.raises(BenchsuiteError, match=words):
            timings(cells, **{"base": "WBP", "candidate": "RESIRE", "store": store, **options})
    other = load(tmp_path / "tiny.yaml", overrides=["acquisition.dose_e_per_A2=1e5"]).cells[1]
    with pytest.raises(BenchsuiteError, match="not given the same series"):
        timings([cells[0], other], "RESIRE", "WBP", store)


@pytest.mark.slow
def test_a_scenario_is_timed(tiny_scenario, tmp_path):
    (tmp_path / "tiny.yaml").write_text(tiny_scenario)
    found = timings(load(tmp_path / "tiny.yaml").cells, "WBP", "RESIRE", Store(tmp_path / "store"), rounds=5)
    assert found.seconds.shape == (5, 2)
    assert (found.seconds > 0).all()
