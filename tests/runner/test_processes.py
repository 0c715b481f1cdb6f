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

import psutil
import pytest

from benchsuite.runner import processes, supervise
from benchsuite.runner.processes import VARIABLE, Forked, ForkServer, Place, Setting, Spawned
from benchsuite.runner.task import Task
from benchsuite.scenario import load

WAYS = (pytest.param("fork", marks=pytest.mark.slow), "spawn")  # the tests of `supervise` fork


@pytest.fixture(autouse=True)
def own_servers():
    supervise.allow_starts()
    yield
    processes.close_servers()


@pytest.fixture
def attempt(odd):
    """A function that runs the odd cell with some parameters."""

    def run(threads=1, **params):
        overrides = [f"reconstructors.odd.{key}={value}" for key, value in params.items()]
        cell = load("odd.yaml", overrides=overrides).cells[0]
        request = Task("scores", cell, str(odd / "store"), plugins=(str(odd / "odd.py"),)).to_json()
        return supervise.supervise(request, time_s=300, memory_bytes=2e9, threads=threads)

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


def start(odd, threads=1, device="cpu", plugins=None):
    cell = load("odd.yaml").cells[0]
    names = (str(odd / "odd.py"),) if plugins is None else plugins
    request = {**Task("phantom", cell, str(odd / "store"), device, plugins=names).to_json()}
    return processes.start(request, threads, tempfile.TemporaryFile())


def test_workers_are_forked_for_cpus_and_started_from_nothing_for_gpus(odd, monkeypatch):
    made = [start(odd), start(odd, device="cuda")]
    monkeypatch.setenv(VARIABLE, "spawn")
    made.append(start(odd))
    assert [type(one) for one in made] == [Forked, Spawned, Spawned]
    for process in made:
        process.end()
        assert process.poll() == -signal.SIGKILL
    gone_or_not = [psutil.Process(one.pid) for one in made if psutil.pid_exists(one.pid)]
    assert psutil.wait_procs(gone_or_not, timeout=60)[1] == [], "the server reaps them"


@pytest.mark.parametrize("threads", [1, 2])
def test_fork_server_has_one_thread_and_workers_the_requested_number(odd, threads):
    process = start(odd, threads)
    (server,) = [psutil.Process(one.pid) for one in processes._servers.values()]
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


def test_workers_are_spawned_if_imports_start_threads(odd, caplog):
    (odd / "threaded.py").write_text(THREADED + (odd / "odd.py").read_text())
    process = start(odd, plugins=(str(odd / "threaded.py"),))
    assert isinstance(process, Spawned)
    assert "1 threads were started by imports" in caplog.text
    process.end()


@pytest.mark.slow
def test_a_server_that_dies_is_replaced_and_its_worker_tried_again(attempt):
    def kill():
        while not (servers := list(processes._servers.values())) or not psutil.Process(servers[0].pid).children():
            time.sleep(0.05)
        os.kill(servers[0].pid, signal.SIGKILL)

    assert attempt().status == "ok"  # the series is there
    killer = threading.Thread(target=kill)
    killer.start()
    outcome = attempt(how="fine", number=1, seconds=1.5)
    killer.join()
    assert outcome.status == "ok"


def test_code_counts_as_it_was_when_the_server_imported_it(odd, attempt):
    """Otherwise the results of one version could be kept under the key of another."""
    assert attempt().status == "ok"
    text = (odd / "odd.py").read_text()
    (odd / "odd.py").write_text(text.replace("rng.random(", "2 * rng.random("))
    os.utime(odd / "odd.py", ns=(1, 1))
    assert attempt().made == [], "the server still has the code that it imported, and knows it"
    processes.close_servers()
    assert "reconstruction" in attempt().made


PROGRAM = """
import json, sys, tempfile
from benchsuite.runner import processes
process = processes.start(json.load(open("request.json")), 1, tempfile.TemporaryFile())
print(process.pid, *[one.pid for one in processes._servers.values()], flush=True)
sys.stdin.read()
"""


def test_all_processes_end_with_the_one_that_started_them(odd):
    cell = load("odd.yaml", overrides=["reconstructors.odd.how=hang"]).cells[0]
    request = Task("scores", cell, str(odd / "store"), plugins=(str(odd / "odd.py"),)).to_json()
    (odd / "request.json").write_text(json.dumps(request))
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
