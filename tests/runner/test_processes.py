"""Workers that are forked are as good as new processes; where forking is unsafe they are new processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict

import psutil
import pytest

from benchsuite.code_version import look_again
from benchsuite.runner import processes
from benchsuite.runner.graph import graph_of
from benchsuite.runner.processes import VARIABLE, Forked, ForkServer, Place, Setting, Spawned
from benchsuite.runner.session import Session
from benchsuite.runner.supervise import Limits, supervise
from benchsuite.runner.task import task_of
from benchsuite.scenario import load
from benchsuite.store import Store

WAYS = (pytest.param("fork", marks=pytest.mark.slow), "spawn")  # the tests of `supervise` fork


@pytest.fixture
def session():
    with Session() as made:
        yield made


def task(folder, stages=lambda graph: graph.goals, device="cpu", plugins=None, **params):
    cell = load("odd.yaml", overrides=[f"reconstructors.odd.{key}={value}" for key, value in params.items()]).cells[0]
    names = [str(folder / "odd.py")] if plugins is None else plugins
    return task_of(cell, stages(graph_of(cell, device)), Store(folder / "store"), device, names)


@pytest.fixture
def attempt(odd, session):
    """A function that runs the odd cell with some parameters."""

    def run(threads=1, **params):
        return supervise(session, task(odd, **params), Limits(300, 2e9), threads=threads)

    return run


@pytest.mark.parametrize("way", WAYS)
def test_every_ending_is_classified(attempt, way, monkeypatch):
    monkeypatch.setenv(VARIABLE, way)
    fine = attempt()
    assert (fine.status, fine.reason) == ("ok", "")
    raised = attempt(how="raise")
    assert (raised.status, raised.reason) == ("error", "RuntimeError: no such luck in 0")
    assert "Traceback" in raised.log
    crashed = attempt(how="segfault")
    assert (crashed.status, crashed.reason) == ("error", "the worker crashed (SIGSEGV) during reconstruction")
    assert "Fatal Python error: Segmentation fault" in crashed.log
    eaten = attempt(how="eat")
    assert eaten.status == "oom"
    assert "more than the limit of 2.00 GB" in eaten.reason


def test_state_spoilt_by_a_cell_does_not_reach_the_next(attempt):
    assert attempt(how="leak").status == "error", "numpy is spoilt for this one"
    assert attempt(how="look").status == "ok"


@pytest.fixture
def start(odd, session):
    """A function that starts the worker of a task."""

    def run(threads=1, **options):
        made = task(odd, lambda graph: [graph.scores.match.truth], **options)
        return session.workers.start(made, threads, tempfile.TemporaryFile())

    return run


def test_workers_are_forked_for_cpus_and_started_from_nothing_for_gpus(start, monkeypatch):
    made = [start(), start(device="cuda")]
    monkeypatch.setenv(VARIABLE, "spawn")
    made.append(start())
    assert [type(one) for one in made] == [Forked, Spawned, Spawned]
    for process in made:
        process.end()
        assert process.poll() == -signal.SIGKILL
    gone_or_not = [psutil.Process(one.pid) for one in made if psutil.pid_exists(one.pid)]
    assert psutil.wait_procs(gone_or_not, timeout=60)[1] == [], "the server reaps them"


@pytest.mark.parametrize("threads", [1, 2])
def test_fork_server_has_one_thread_and_workers_the_requested_number(start, session, threads):
    process = start(threads)
    (server,) = [psutil.Process(one.pid) for one in session.workers.servers.values()]
    assert server.num_threads() == 1
    worker = psutil.Process(process.pid)
    assert worker.parent() == server
    assert os.getpgid(process.pid) == process.pid
    told = worker.environ()
    assert {told[name] for name in processes.THREADS} == {str(threads)}
    process.end()


THREADED = """
import threading, time
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
"""


def test_workers_are_spawned_if_imports_start_threads(odd, start, caplog):
    (odd / "threaded.py").write_text(THREADED + (odd / "odd.py").read_text())
    process = start(plugins=[str(odd / "threaded.py")])
    assert isinstance(process, Spawned)
    assert "1 threads were started by imports" in caplog.text
    process.end()


@pytest.mark.slow
def test_a_server_that_dies_is_replaced_and_its_worker_tried_again(attempt, session):
    def kill():
        while not (servers := list(session.workers.servers.values())) or not psutil.Process(servers[0].pid).children():
            time.sleep(0.05)
        os.kill(servers[0].pid, signal.SIGKILL)

    assert attempt().status == "ok"  # the series is there
    killer = threading.Thread(target=kill)
    killer.start()
    outcome = attempt(how="fine", number=1, seconds=1.5)
    killer.join()
    assert outcome.status == "ok"


def test_code_counts_as_it_was_when_the_server_imported_it(odd, attempt, session):
    """Otherwise the results of one version could be kept under the key of another."""
    assert attempt().status == "ok"
    text = (odd / "odd.py").read_text()
    (odd / "odd.py").write_text(text.replace("rng.random(", "2 * rng.random("))
    os.utime(odd / "odd.py", ns=(1, 1))
    assert attempt().stages_made == [], "the server still has the code that it imported, and knows it"
    look_again()  # as the next run does
    stale = attempt()
    assert (stale.status, stale.stages_made) == ("error", [])
    assert "code or files have changed since the run began" in stale.reason
    session.workers.close()
    assert "reconstruction" in attempt().stages_made


PROGRAM = """
import json, sys, tempfile
from benchsuite.runner.processes import Workers
from benchsuite.runner.task import Task
workers = Workers()
process = workers.start(Task(**json.load(open("task.json"))), 1, tempfile.TemporaryFile())
print(process.pid, *[one.pid for one in workers.servers.values()], flush=True)
sys.stdin.read()
"""


def test_all_processes_end_with_the_one_that_started_them(odd):
    (odd / "task.json").write_text(json.dumps(asdict(task(odd, how="hang"))))
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    parent = subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=odd, **streams)
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    assert all(map(psutil.pid_exists, pids))
    parent.kill()
    parent.wait()
    psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=60)
    assert not any(map(psutil.pid_exists, pids))


def test_an_idle_server_is_closed_without_waiting(odd):
    server = ForkServer(Setting(tuple(os.environ.items()), Place(os.getcwd()), False, ()))
    server.close()
    assert not psutil.pid_exists(server.pid)
