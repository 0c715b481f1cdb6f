"""A real Dask cluster of processes on this machine: same bytes as locally, whatever is killed; and what it says when it cannot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from benchsuite.errors import BenchsuiteError
from benchsuite.runner import cluster, terms
from benchsuite.runner.run import Settings, run
from benchsuite.scenario import load
from benchsuite.store import MANIFEST

TIMED = ("facts.json", MANIFEST, "reconstruction/arrays/zarr.json")  # of a reconstruction: they hold the seconds it took


@pytest.fixture(scope="module")
def dask():
    """A cluster of two worker processes with a thread each; Dask starts them again when they die."""
    from distributed import Client, LocalCluster

    local = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with LocalCluster(**local) as made, Client(made, set_as_default=False) as client:
        yield client


def settings(folder, out, dask=None, store="store"):
    scheduler = dask.scheduler.address if dask is not None else None
    return Settings(folder / out, folder / store, 2, plugins=(str(folder / "odd.py"),), scheduler=scheduler)


def odd_cells(count, **params):
    """A scenario of as many cells of the plugin, which differ by their number."""
    fixed = [f"reconstructors.odd.{key}={value}" for key, value in params.items()]
    return load("odd.yaml", overrides=[*fixed, f"sweep=[{{reconstructors.odd.number: {list(range(count))}}}]"])


def table(folder):
    return pd.read_csv(folder / "results.csv", dtype={"cell": str})


def content(store: Path) -> dict[str, bytes]:
    """The bytes of all entries, except where they tell how long something took."""
    files = [file for file in store.glob("[a-z]*/??/**/*") if file.is_file()]
    names = {str(file.relative_to(store)): file for file in files}
    timed = {name for name in names if name.startswith("reconstruction/") and name.endswith(TIMED)}
    return {name: file.read_bytes() for name, file in names.items() if name not in timed}


def test_results_are_those_of_a_local_run(dask, odd, tmp_path):
    both = load("odd.yaml", overrides=["reconstructors=[resire, {use: odd, number: 3}]"])
    events = []
    assert run(both, settings(odd, "remote", dask, "remote_store"), events.append) == 0
    assert run(both, settings(odd, "local", None, "local_store")) == 0
    remote, local = content(odd / "remote_store"), content(odd / "local_store")
    assert len(remote) > 40
    assert remote == local
    timed = ["reconstruct_s", "peak_memory_mb"]
    pd.testing.assert_frame_equal(table(odd / "remote").drop(columns=timed), table(odd / "local").drop(columns=timed))
    assert {"begin", "iteration", "done", "cell"} <= {event["event"] for event in events}, "events come back"
    assert not list((odd / "remote_store" / "cluster").glob("*.json")), "the terms go with the run"


def test_a_killed_worker_costs_nothing_but_time(dask, odd):
    pids, killed = list(dask.run(os.getpid).values()), []

    def listen(event):
        if event["event"] == "begin" and event["task"].startswith("scores") and not killed:
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

    assert run(odd_cells(6, seconds=0.5), settings(odd, "out", dask), listen) == 0
    assert killed
    assert list(table(odd / "out")["status"]) == ["ok"] * 6


@pytest.mark.slow
def test_a_task_that_kills_its_workers_fails_alone(dask, odd):
    bad = "reconstructors=[odd, {use: odd, label: murderer, how: kill its Dask worker}]"
    assert run(load("odd.yaml", overrides=[bad]), settings(odd, "out", dask)) == 3
    rows = table(odd / "out").set_index("reconstructor")
    assert rows["status"].to_dict() == {"ODD": "ok", "murderer": "error"}
    assert "the Dask worker died each of 4 times" in rows["reason"]["murderer"]


def hanging() -> list[psutil.Process]:
    """The workers of tasks: two below a Dask worker, which is two below this process."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "benchsuite.runner.forkserver" in " ".join(process.cmdline()) and "forkserver" in " ".join(
                process.parent().cmdline()
            ):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.parametrize("end", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_tasks_end_with_their_runner(dask, odd, end):
    words = ["run", "odd.yaml", "--plugin", "odd.py", "--set", "reconstructors.odd.how=hang", "--scheduler", dask.scheduler.address]
    with open(odd / "log", "w") as log:
        runner = subprocess.Popen(
            [sys.executable, "-c", HEARS_CTRL_C, *words, "--out", "out", "--store", "store"], cwd=odd, stderr=log, stdout=log
        )
    deadline = time.monotonic() + 120
    while not list((odd / "store").glob("series/*/*/*/" + MANIFEST)) or not hanging():
        assert runner.poll() is None, (odd / "log").read_text()
        assert time.monotonic() < deadline, (odd / "log").read_text()
        time.sleep(0.1)
    runner.send_signal(end)
    status = runner.wait(timeout=60)
    deadline = time.monotonic() + 60
    while hanging() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not hanging()
    if end == signal.SIGINT:
        assert status == 130, (odd / "log").read_text()
        assert list(table(odd / "out")["status"]) == ["interrupted"]


HEARS_CTRL_C = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
from benchsuite.cli import main
main()
"""


def test_a_scheduler_that_is_not_there_is_a_clear_error(odd, cli_run):
    words = ["run", "odd.yaml", "--plugin", "odd.py", "--scheduler", "tcp://127.0.0.1:9"]
    result = cli_run(odd, *words, status=2)
    assert "--scheduler tcp://127.0.0.1:9: no Dask scheduler answers there" in result.stderr


def test_a_store_that_workers_do_not_see_is_a_clear_error(dask, odd, monkeypatch):
    monkeypatch.setattr(cluster, "write_terms", lambda store, plugins: Path("/nowhere/store/cluster/terms.json"))
    with pytest.raises(BenchsuiteError, match=r"worker tcp://.*: cannot read /nowhere/store/.*share the disk of the store"):
        run(odd_cells(1), settings(odd, "out", dask))


def test_a_worker_without_the_memory_is_told_before_anything_runs(dask, odd):
    with pytest.raises(BenchsuiteError, match=r"cell 0000 needs about .* GB, a task may use 0.0 GB"):
        run(load("odd.yaml", overrides=["limits.memory_GB=0.01"]), settings(odd, "out", dask))


@pytest.fixture
def agreed_terms(odd):
    return terms.write_terms(odd / "store", [str(odd / "odd.py")])


def changed(file, section, name, value):
    told = json.loads(file.read_text())
    told[section][name] = value
    file.write_text(json.dumps(told))


def test_terms_hold_on_the_machine_that_wrote_them(agreed_terms, odd):
    assert terms.agreed(str(agreed_terms)) == {str(odd / "odd.py"): str(odd / "odd.py")}


def test_other_code_is_refused_by_name(agreed_terms):
    changed(agreed_terms, "code", "reconstructors/resire.py", "0" * 16)
    with pytest.raises(BenchsuiteError, match=r"other code in reconstructors/resire.py; install there what the runner has"):
        terms.agree(str(agreed_terms))


def test_a_library_that_is_part_of_keys_has_to_be_the_same(agreed_terms, caplog):
    changed(agreed_terms, "libraries", "numpy", "0.1")
    terms.agree(str(agreed_terms))
    assert "the runner has 0.1: results may differ in the last bits" in caplog.text
    changed(agreed_terms, "libraries", "abtem", "0.1")
    with pytest.raises(BenchsuiteError, match=r"abtem .*, the runner has 0.1"):
        terms.agree(str(agreed_terms))


def test_a_plugin_that_is_not_there_comes_out_of_the_store(agreed_terms, odd):
    source = (odd / "odd.py").read_bytes()
    (odd / "odd.py").write_text("# something else under this name\n")
    (copy,) = terms.agreed(str(agreed_terms)).values()
    assert Path(copy).is_relative_to(odd / "store")
    assert (Path(copy).name, Path(copy).read_bytes()) == ("odd.py", source)
