"""What the harness itself takes: `pytest tests/benchmarks/test_runner.py --benchmark-only`, on a machine with nothing else to do.

Nothing here fails on a wall-clock time. BENCHSUITE_CELLS sets the number of trivial cells (1000).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

CELLS = int(os.environ.get("BENCHSUITE_CELLS", "1000"))
SWEEP = ("mset_2023/fig5", "--set", "reconstructors.mset.iterations=6")
ROOT = Path(__file__).parents[2]


def run(folder: Path, *words: str, out: str, store: str, workers: int, cores: int = 2) -> float:
    """Return the wall time of a run without its report, with its imports, on so many cores."""
    allowed = set(sorted(os.sched_getaffinity(0))[:cores])
    line = [sys.executable, "-m", "tests.reliability.without_report", "run", *words, "--workers", str(workers)]
    environment = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")}
    started = time.perf_counter()
    subprocess.run(
        [*line, "--out", out, "--store", store],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
        check=True,
        capture_output=True,
    )
    took = time.perf_counter() - started
    assert (pd.read_csv(folder / out / "results.csv")["status"] == "ok").all()
    return took


def trivial(count: int) -> list[str]:
    return ["odd.yaml", "--plugin", "odd.py", "--set", f"sweep=[{{reconstructors.odd.number: {list(range(count))}}}]"]


def test_trivial_cells(benchmark, odd):
    """A cell reconstructs a volume of random numbers, traces and scores it: its own work is measured below, in one process."""
    few = run(odd, *trivial(2), out="few", store="store", workers=2)
    benchmark.pedantic(lambda: run(odd, *trivial(CELLS), out="out", store="store", workers=2), rounds=1)
    seconds = benchmark.stats["mean"]
    work = own_work(odd)
    per_cell = 2 * (seconds - few) / (CELLS - 2)  # of a worker
    benchmark.extra_info.update(cells=CELLS, first_two_s=few, worker_s_per_cell=per_cell, overhead_s_per_cell=per_cell - work)


def own_work(folder: Path) -> float:
    """Return the seconds of a cell's stages where everything is imported: the median of five in this process."""
    from benchsuite.runner.graph import graph_of
    from benchsuite.runner.stages.base import ensure
    from benchsuite.scenario import load
    from benchsuite.store import Store

    times = []
    for number in range(-6, 0):
        cell = load(folder / "odd.yaml", overrides=[f"reconstructors.odd.number={number + 10**6}"]).cells[0]
        made = graph_of(cell)
        for stage in made.scores.upstream():
            stage.key  # noqa: B018
        ensure(Store(folder / "store"), made.series)
        started = time.perf_counter()
        ensure(Store(folder / "store"), made.scores)
        times.append(time.perf_counter() - started)
    return float(pd.Series(times[1:]).median())


def test_cached_rerun(benchmark, odd):
    run(odd, *trivial(CELLS), out="out", store="store", workers=2)
    benchmark.pedantic(lambda: run(odd, *trivial(CELLS), out="out", store="store", workers=2), rounds=3)
    benchmark.extra_info.update(cells=CELLS)


@pytest.mark.parametrize("simulated", [True, False], ids=["with the simulation", "reconstructions only"])
def test_two_workers(benchmark, tmp_path, simulated):
    """A desk sweep by two workers on two cores, against one worker on one core, and one worker with two threads."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    if not simulated:
        for store in ("two", "one", "threads"):
            run(tmp_path, *SWEEP, "--set", "reconstructors.mset.iterations=1", out="before", store=store, workers=2)
    one = run(tmp_path, *SWEEP, out="one_out", store="one", workers=1, cores=1)
    threads = run(tmp_path, *SWEEP, out="threads_out", store="threads", workers=1)
    benchmark.pedantic(lambda: run(tmp_path, *SWEEP, out="two_out", store="two", workers=2), rounds=1)
    two = benchmark.stats["mean"]
    benchmark.extra_info.update(
        one_worker_s=one, one_worker_two_threads_s=threads, speedup=one / two, against_threads=threads / two
    )
