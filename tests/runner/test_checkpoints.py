"""An interrupted reconstruction goes on from its latest checkpoint and ends as if nothing had happened."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchsuite.contract import Context
from benchsuite.contract_suite import small_problem
from benchsuite.reconstructors.mset import MSET
from benchsuite.reconstructors.mspt import MSPT
from benchsuite.reconstructors.resire import RESIRE
from benchsuite.reconstructors.sirt import SIRT, SIRTParams
from benchsuite.runner.checkpoints import Checkpoints
from benchsuite.runner.loop import run_loop
from benchsuite.store import Key, Store

KEY = Key("reconstruction", "a" * 32, "b" * 16)
ITERATIONS = 5


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


class Interrupted(Exception):
    pass


def stopping(method):
    """A method that is interrupted in its fourth iteration, as often as it comes there from the beginning."""

    class Stopping(method):
        def reconstruct(self, series, context):
            for item in super().reconstruct(series, context):
                if item.iteration == 4 and context.resumed is None:
                    raise Interrupted
                yield item

    return Stopping


def context(grid):
    return Context(grid, np.random.default_rng(5))


@pytest.mark.parametrize(
    ("method", "params"),
    [(MSET, {"slice_A": 4.0}), (MSET, {"slice_A": 4.0, "update": "paper", "batch": 72}), (RESIRE, {}), (MSPT, {})],
)
def test_an_interrupted_reconstruction_ends_as_an_undisturbed_one(store, method, params):
    series, grid = small_problem(method.modalities[-1])
    series = replace(series, data=series.data[::3], rotations=series.rotations[::3])
    settings, events = method.Params(iterations=ITERATIONS, **params), []
    undisturbed = run_loop(method(settings), series, context(grid), lambda **event: None)
    with pytest.raises(Interrupted):
        run_loop(stopping(method)(settings), series, context(grid), lambda **event: None, Checkpoints(store, KEY, every_s=0))
    again = run_loop(
        stopping(method)(settings), series, context(grid), lambda **event: events.append(event), Checkpoints(store, KEY, every_s=0)
    )
    assert events[0] == {"event": "resumed", "iteration": 3, "total": ITERATIONS}
    np.testing.assert_array_equal(again.volume.data, undisturbed.volume.data)
    np.testing.assert_array_equal(again.history, undisturbed.history)


def test_a_damaged_checkpoint_is_not_used(store):
    written = Checkpoints(store, KEY, every_s=0)
    for iteration in (1, 2):
        written.offer({"x": np.full(3, float(iteration))}, iteration, np.array([[iteration, 0.5]]), 1.0)
    state, history, _ = Checkpoints(store, KEY).load()
    assert state["x"][0] == 2
    assert history[-1][0] == 2
    chunk = next(file for file in store.path(written.slots[1]).rglob("c/0") if "state_x" in str(file))
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"\x00")
    assert Checkpoints(store, KEY).load()[0]["x"][0] == 1


def test_checkpoints_are_not_written_too_often_and_go_when_done(store):
    checkpoints = Checkpoints(store, KEY, every_s=1000)
    checkpoints.offer({"x": np.zeros(1)}, 1, np.zeros((1, 2)), 0.0)
    assert checkpoints.load() is None
    eager = Checkpoints(store, KEY, every_s=0)
    eager.offer({}, 1, np.zeros((1, 2)), 0.0)
    assert eager.load() is None, "a method without a state has no checkpoints"
    eager.offer({"x": np.zeros(1)}, 1, np.zeros((1, 2)), 0.0)
    assert eager.load() is not None
    eager.clear()
    assert eager.load() is None


def test_methods_without_a_state_run_as_before(store):
    series, grid = small_problem()
    result = run_loop(SIRT(SIRTParams(iterations=3)), series, context(grid), lambda **event: None, Checkpoints(store, KEY, 0))
    assert len(result.history) == 3
    assert Checkpoints(store, KEY).load() is None
