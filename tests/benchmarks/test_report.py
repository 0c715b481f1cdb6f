"""A report over 1,000 cells: how long and how large, the same again with nothing new, and how soon a browser shows it."""

from __future__ import annotations

import os
import resource
import threading
import time

import psutil
import pytest

from benchsuite.reports import write_overview
from benchsuite.results import Run
from tests.browser import chromium
from tests.reports.made_runs import thousand

LOADED = "performance.getEntriesByType('navigation')[0]"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return thousand(tmp_path_factory.mktemp("thousand") / "run")


@pytest.fixture(scope="module")
def written(run):
    return run.folder.parent / "out"


class Watch:
    """Peak memory (proportional set size) of this process and those that it starts, beyond what this one had."""

    def __enter__(self):
        self._me, self._stop, self.peak = psutil.Process(), threading.Event(), 0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _look(self):
        while not self._stop.wait(0.2):
            total = 0
            for process in (self._me, *self._me.children(recursive=True)):
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self.peak = max(self.peak, total)


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def test_a_report_over_a_thousand_cells(benchmark, run, written):
    """Asked: 60 s and 2 GB."""
    before = cpu_seconds()
    with Watch() as watch:
        page = benchmark.pedantic(write_overview, args=([Run(run.folder)], written), rounds=1, iterations=1)
    files = [file for file in written.rglob("*") if file.is_file()]
    benchmark.extra_info["peak_memory_mb"] = round(watch.peak / 1e6)
    benchmark.extra_info["cpu_seconds"] = round(cpu_seconds() - before, 1)
    benchmark.extra_info["load_average"] = os.getloadavg()[0]
    benchmark.extra_info["megabytes"] = round(sum(file.stat().st_size for file in files) / 1e6)
    assert page.is_file()
    assert len(list(written.glob("pages/run/*.html"))) == 1000
    assert watch.peak < 2e9


def test_the_same_report_again(benchmark, run, written):
    write_overview([Run(run.folder)], written)
    benchmark.pedantic(write_overview, args=([Run(run.folder)], written), setup=lambda: None, rounds=1, iterations=1)


def test_a_browser_opens_it(benchmark, run, written, tmp_path):
    """Asked: 2 s until the page has loaded; here with its table drawn and two frames painted."""
    page = write_overview([Run(run.folder)], written)
    with chromium(tmp_path / "profile") as browser:
        browser.open(page)
        benchmark.pedantic(browser.open, args=(page,), rounds=5, iterations=1)
        benchmark.extra_info["load_event_ms"] = round(browser.evaluate(f"{LOADED}.loadEventEnd"))
        benchmark.extra_info["nodes"] = browser.evaluate("document.querySelectorAll('*').length")
        cell = next(written.glob("pages/run/*.html"))
        started = time.perf_counter()
        browser.open(cell)
        benchmark.extra_info["cell_page_s"] = round(time.perf_counter() - started, 2)
        assert browser.complaints == []
