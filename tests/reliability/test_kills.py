"""Runner, workers and fork servers are killed: nothing damaged is accepted, nothing finished is redone, and the run completes."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest

from benchsuite.atomic import TEMPORARY_PREFIX
from benchsuite.store import MANIFEST
from tests.reliability.support import contents, damaged, entries

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("BENCHSUITE_KILLS", "200"))
CELLS = 24
SWEEP = f"sweep=[{{reconstructors.odd.number: {list(range(CELLS))}}}]"


class Killer:
    """Kills parts of a run, in turn inside a write and at any moment, and looks at the store after each kill."""

    def __init__(self, odd, seed: int) -> None:
        self.odd, self.store, self.rng = odd, odd.folder / "store", random.Random(seed)
        self.kills = {"in a write": 0, "at any moment": 0}
        self.victims = {"runner": 0, "worker": 0}
        self.finished: dict[Path, tuple[int, int]] = {}  # what identifies a file that nobody has written again
        self.batch = 0

    def total(self) -> int:
        return sum(self.kills.values())

    def more(self) -> tuple[str, ...]:
        return ("--set", SWEEP, "--set", f"seed={self.batch}")

    def run(self, count: int) -> None:
        """Kill so many times; a run that completes is followed by one with other cells."""
        runner = None
        while self.total() < count:
            if runner is None:
                runner = self.odd.start("out", "store", *self.more())
            if runner.poll() is not None:
                self.batch += runner.returncode == 0
                runner = None
            elif len(entries(self.store)) > len(self.finished) and self.kill(runner):  # something was finished since the last one
                self.look()
        assert runner is not None
        runner.kill()
        runner.wait()

    def kill(self, runner) -> bool:
        """Kill something of a run; False where there was nothing."""
        moment = min(self.kills, key=lambda name: self.kills[name])
        victim = "runner" if self.rng.random() < 0.25 else "worker"
        pids = self.writing(runner) if moment == "in a write" else self.at_any_moment(runner)
        if not pids:
            return False
        os.kill(runner.pid if victim == "runner" else self.rng.choice(sorted(pids)), signal.SIGKILL)
        if victim == "runner":
            runner.wait()
            for pid in pids:  # what was stopped inside a write goes on, and ends with its runner
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        self.kills[moment] += 1
        self.victims[victim] += 1
        return True

    def writing(self, runner) -> set[int]:
        """Wait for somebody who writes an entry, and stop it there; its process id stands in the name of the folder."""
        while runner.poll() is None:
            for folder in self.store.glob(f"[a-z]*/??/*/{TEMPORARY_PREFIX}*"):
                pid = int(folder.name.removeprefix(TEMPORARY_PREFIX).split("-")[0])
                try:
                    os.kill(pid, signal.SIGSTOP)
                except ProcessLookupError:
                    continue
                if folder.exists():  # stopped before the renaming
                    return {pid}
                os.kill(pid, signal.SIGCONT)
        return set()

    def at_any_moment(self, runner) -> set[int]:
        time.sleep(self.rng.uniform(0, 1))
        try:
            return {child.pid for child in psutil.Process(runner.pid).children(recursive=True)}
        except psutil.NoSuchProcess:
            return set()

    def look(self) -> None:
        """Check that what was finished is as it was, and what is new is whole."""
        for folder in entries(self.store):
            stat = (folder / MANIFEST).stat()
            assert self.finished.setdefault(folder, (stat.st_ino, stat.st_mtime_ns)) == (stat.st_ino, stat.st_mtime_ns), folder
        assert damaged(self.store) == []


def test_kills(odd_folder, shown):
    (odd_folder.folder / "store").mkdir()
    killer = Killer(odd_folder, seed=0)
    killer.run(KILLS)
    assert odd_folder.run("out", "store", *killer.more()) in (0, 3)
    assert odd_folder.run("out", "store", *killer.more()) == 0, odd_folder.said()
    killer.look()
    assert odd_folder.run("fresh", "fresh_store", *killer.more()) == 0
    resumed, fresh = (pd.read_csv(odd_folder.folder / out / "results.csv") for out in ("out", "fresh"))
    timed = ["reconstruct_s", "peak_memory_mb"]
    pd.testing.assert_frame_equal(resumed.drop(columns=timed), fresh.drop(columns=timed))
    clean, all_of_them = contents(odd_folder.folder / "fresh_store"), contents(odd_folder.folder / "store")
    assert clean.items() <= all_of_them.items()
    assert killer.kills["in a write"] >= KILLS // 2
    shown(
        f"{killer.total()} SIGKILLs: {killer.victims}, {killer.kills}",
        f"0 damaged entries of {len(killer.finished)}, 0 of them written again; completed, equal to an undisturbed run",
    )
