"""Fifty kills at random moments, half of them inside a write: nothing damaged is accepted, and the run completes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from benchsuite.store import MANIFEST, find_damage

KILLS = int(os.environ.get("BENCHSUITE_KILLS", "50"))


def start(folder: Path, out: str, seed: int, store: str = "store") -> subprocess.Popen:
    words = ["run", "tiny.yaml", "--out", out, "--store", store, "--set", f"seed={seed}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-m", "benchsuite.cli", *words], cwd=folder, **quiet)


def wait_for_a_write(process: subprocess.Popen, store: Path) -> bool:
    """Wait until somebody is writing an entry; False if the run ended first."""
    while process.poll() is None:
        if next(store.glob("*/*/*/.tmp-*"), None) is not None:
            return True
        time.sleep(0.0005)
    return False


def victims(process: subprocess.Popen, worker: bool) -> list[psutil.Process]:
    runner = psutil.Process(process.pid)
    return runner.children(recursive=True)[:1] if worker else [runner]


@pytest.mark.slow
def test_kills(tmp_path, tiny_scenario):
    (tmp_path / "tiny.yaml").write_text(tiny_scenario)
    store, rng = tmp_path / "store", random.Random(0)
    store.mkdir()
    kills = {"random": 0, "in a write": 0}
    seed, checked = 1, 0
    while sum(kills.values()) < KILLS:
        process = start(tmp_path, "out", seed)
        moment = "in a write" if kills["in a write"] <= kills["random"] else "random"
        if moment == "in a write":
            time.sleep(rng.uniform(0, 3))
            alive = wait_for_a_write(process, store)
        else:
            time.sleep(rng.uniform(1.0, 8.0))
            alive = process.poll() is None
        if not alive:
            seed += 1  # that run is complete: new work for the next kills
            continue
        try:
            for victim in victims(process, worker=rng.random() < 0.5):
                victim.send_signal(signal.SIGKILL)
                kills[moment] += 1
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.3)
        if process.poll() is None:
            process.kill()
        process.wait()
        for manifest in store.glob("[a-z]*/*/*/*/" + MANIFEST):
            if manifest.parent.parent.parent.parent.name != "corrupt" and not manifest.parent.name.startswith(".tmp-"):
                assert find_damage(manifest.parent) is None, manifest
                checked += 1
        table = tmp_path / "out" / "results.csv"
        assert not table.exists() or len(pd.read_csv(table).columns) > 10
    assert start(tmp_path, "out", seed).wait() == 0
    assert start(tmp_path, "fresh", seed, "fresh_store").wait() == 0
    resumed, fresh = (pd.read_csv(tmp_path / out / "results.csv") for out in ("out", "fresh"))
    assert (resumed["status"] == "ok").all()
    assert list(resumed["rmsd_pm"]) == list(fresh["rmsd_pm"])
    assert not (store / "corrupt").exists()
    print(f"kills {kills}, entries checked {checked}, corrupt accepted 0")  # noqa: T201
