"""What a user sees of a run: a line per cell of a few, counts and failures of many."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchsuite.progress import MAX_LISTED_FAILURES, SUMMARY_INTERVAL_S, Progress, Tally, duration


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def lines_of(cells, statuses, seconds_each=1.0):
    """The lines that a pipe gets of cells that end with these statuses, one after the other."""
    clock, text = Clock(), io.StringIO()
    with Progress(cells, Console(file=text, width=80), Tally(cells, clock)) as progress:
        for number, status in enumerate(statuses):
            clock.now += seconds_each
            scores = [("RMSD", 5.0, "pm"), ("R-factor", 0.1234567, "")]
            event = {"cell": f"{number:04d}", "status": status, "reason": "", "reconstructor": "RESIRE", "scores": scores}
            progress.listen({"event": "cell", **event})
    return text.getvalue().splitlines()


def test_few_cells_have_a_line_each():
    lines = lines_of(3, ["ok", "error", "ok"])
    assert [line[:9] for line in lines[:3]] == ["cell 0000", "cell 0001", "cell 0002"]
    assert lines[0].endswith("RMSD 5 pm, R-factor 0.1235")
    assert lines[3:] == ["3 of 3 cells, 2 ok, 1 error; 3 s"]


def test_many_cells_get_few_lines_and_one_per_early_failure():
    count, failing = 1000, 100
    lines = lines_of(count, (["ok"] * 9 + ["timeout"]) * failing)
    cells = [line for line in lines if line.startswith("cell")]
    assert len(cells) == MAX_LISTED_FAILURES
    assert all("timeout" in line for line in cells)
    assert "more cells fail; the table has all of them" in lines
    assert len(lines) - len(cells) < 2 * count / SUMMARY_INTERVAL_S
    assert lines[-1] == "1000 of 1000 cells, 900 ok, 100 timeout; 17 min"


def test_the_time_left_is_that_of_the_cells_that_were_computed():
    clock = Clock()
    tally = Tally(1000, clock)
    for _ in range(500):
        tally.add("ok", cached=True)
    assert tally.left_s() is None, "cells out of the store tell nothing"
    clock.now = 100.0
    for _ in range(50):
        tally.add("ok", cached=False)
    assert tally.left_s() == pytest.approx(450 * 2)
    assert str(tally) == "550 of 1000 cells, 550 ok; 2 min, about 15 min left"


def test_bars_show_the_whole_and_what_runs():
    text = io.StringIO()
    with Progress(60, Console(file=text, width=120, force_terminal=True)) as progress:
        progress.listen({"event": "begin", "stages": 1, "task": "scores 0007 MSET"})
        progress.listen({"event": "iteration", "iteration": 3, "total": 12, "task": "scores 0007 MSET"})
        progress.listen({"event": "begin", "stages": 7, "task": "image 0008 1/2"})
        progress.listen({"event": "made", "stage": "image", "per_tilt": True, "task": "image 0008 1/2"})
        told = {"cell": "0001", "status": "error", "reason": "no luck", "reconstructor": "SIRT", "scores": []}
        progress.listen({"event": "cell", **told})
        progress._bars.refresh()
    shown = text.getvalue()
    assert "scores 0007 MSET" in shown
    assert "3/12" in shown
    assert "1/7" in shown
    assert "1/60" in shown
    assert "1 failed, about" in shown
    assert "no luck" in shown


@pytest.mark.parametrize(("seconds", "said"), [(5, "5 s"), (99, "99 s"), (600, "10 min"), (7200, "2.0 h")])
def test_durations(seconds, said):
    assert duration(seconds) == said
