"""Every way in which a task can end has its status and its reason."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import asdict

import pytest

from benchsuite.runner.graph import graph_of
from benchsuite.runner.session import Session
from benchsuite.runner.supervise import Limits, supervise
from benchsuite.runner.task import task_of
from benchsuite.scenario import load
from benchsuite.store import Store

PLUGIN = """
import os, signal, sys, time
import numpy as np
from benchsuite.contract import Iterate, Reconstructor
from benchsuite.params import Params

class Odd(Reconstructor):
    title = "does what it is told"
    reference = "none"
    class Params(Params):
        how: str = "raise"
    def reconstruct(self, series, context):
        volume = np.zeros(context.grid.shape, np.float32)
        how = self.params.how
        print("about to", how)
        if how == "raise":
            raise RuntimeError("no such luck")
        if how == "exit":
            os._exit(7)
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "segfault":
            import ctypes
            ctypes.string_at(0)
        if how == "hang":
            time.sleep(1000)
        if how == "eat":
            hoard = [bytearray(50_000_000) for _ in range(100)]
            time.sleep(1000)
        if how == "nan":
            yield Iterate(1, float("nan"), volume=volume)
        if how == "nan volume":
            yield Iterate(1, 1.0, volume=volume + np.nan)
        if how == "shape":
            yield Iterate(1, 1.0, volume=volume[:-1])
        if how == "wrong type":
            yield volume
        if how == "fine":
            yield Iterate(1, 1.0, volume=volume)
"""


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    """A tiny scenario whose series is in a store already, and the plugin that misbehaves."""
    from benchsuite import registry

    folder = tmp_path_factory.mktemp("supervise")
    (folder / "odd.py").write_text(PLUGIN)
    registry.load_plugin(folder / "odd.py")
    (folder / "s.yaml").write_text(
        """
schema: 1
name: tiny
phantom: {kind: core_shell, atoms: 13, shell_layers: 1}
simulation: {method: prism, sampling_A: 0.25, prism_interpolation: 2}
microscope: {semiangle_mrad: 20}
acquisition:
  tilts: {angles_deg: [0, 60]}
  scan: {step_A: 0.8, positions: [16, 16]}
  detector: {inner_mrad: 21, outer_mrad: 25}
reconstructors: [odd]
analysis: {species: [Cu, Au]}
"""
    )
    cell = load(folder / "s.yaml").cells[0]
    task = task_of(cell, [graph_of(cell).series], Store(folder / "store"), plugins=[str(folder / "odd.py")])
    with Session() as session:
        outcome = supervise(session, task, Limits(120, 8e9), threads=2)
    assert outcome.status == "ok", outcome
    return folder


@pytest.fixture(scope="module")
def session():
    with Session() as made:
        yield made


def task(folder, how):
    cell = load(folder / "s.yaml", overrides=[f"reconstructors.odd.how={how}"]).cells[0]
    return task_of(cell, graph_of(cell).goals, Store(folder / "store"), plugins=[str(folder / "odd.py")])


@pytest.fixture
def attempt(setting, session):
    """A function that lets the plugin behave in some way, and returns how the task ended."""

    def run(how, session=session, **limits):
        return supervise(session, task(setting, how), Limits(**{"time_s": 60, "memory_bytes": 8e9, **limits}), threads=1)

    return run


@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [
        ("raise", "error", "RuntimeError: no such luck"),
        ("exit", "error", "exit status 7"),
        ("kill", "oom", "SIGKILL"),
        ("segfault", "error", "crashed (SIGSEGV) during reconstruction"),
        ("nan", "diverged", "loss is nan at iteration 1"),
        ("nan volume", "diverged", "not finite"),
        ("shape", "error", "shape (15, 16, 16)"),
        ("wrong type", "error", "ndarray instead of an Iterate"),
        ("nothing", "error", "yielded no iterate"),
    ],
)
def test_reasons(attempt, how, status, reason):
    outcome = attempt(how)
    assert outcome.status == status
    assert reason in outcome.reason
    assert "about to" in outcome.log or how in ("exit", "kill", "segfault")


def test_a_volume_of_zeros_is_scored_as_nothing_found(attempt):
    assert attempt("fine").status == "ok"


def test_a_hanging_task_is_killed(attempt):
    outcome = attempt("hang", time_s=4)
    assert outcome.status == "timeout"
    assert "4 s" in outcome.reason


def test_a_hungry_task_is_killed(attempt):
    outcome = attempt("eat", memory_bytes=1.5e9)
    assert outcome.status == "oom"
    assert "1.50 GB" in outcome.reason


def test_a_stopped_session_ends_its_tasks_and_no_others(attempt):
    """Two runs in one process: Ctrl-C in one is no business of the other."""
    with Session() as stopped, Session() as other:
        threading.Timer(3, stopped.stop).start()
        started = time.monotonic()
        assert attempt("hang", stopped).status == "interrupted"
        assert time.monotonic() - started < 30
        assert attempt("fine", stopped).status == "interrupted"
        assert attempt("fine", other).status == "ok"


def test_a_killed_parent_takes_its_worker_along(setting, tmp_path):
    import subprocess
    import sys

    (tmp_path / "task.json").write_text(json.dumps(asdict(task(setting, "hang"))))
    program = (
        "import json, sys\n"
        "from benchsuite.runner.session import Session\nfrom benchsuite.runner.supervise import Limits, supervise\n"
        "from benchsuite.runner.task import Task\n"
        "def tell(event):\n  print(json.dumps(event), flush=True)\n"
        "task = Task(**json.load(open(sys.argv[1])))\n"
        "supervise(Session(), task, Limits(100, 8e9), threads=1, listen=tell)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "task.json")], stdout=subprocess.PIPE, text=True)
    assert "stage" in parent.stdout.readline()
    children = subprocess.run(["pgrep", "-P", str(parent.pid)], capture_output=True, text=True).stdout.split()
    assert children
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(os.path.exists(f"/proc/{pid}") for pid in children):
        time.sleep(0.1)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in children)
