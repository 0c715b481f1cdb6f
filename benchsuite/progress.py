"""Progress of a run: bars on a terminal, lines in a pipe.

Each of few cells has a line when it ends; of many, only failures have, up to a limit, and in a pipe a summary follows at intervals.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bars

MAX_LISTED_CELLS = 50  # of more cells, those that went well have no lines of their own
MAX_LISTED_FAILURES = 20  # that have a line each
SUMMARY_INTERVAL_S = 30.0  # of the lines about the whole, where no bars are shown


class Tally:
    """Counts of finished cells by status, and the time that the others will take."""

    def __init__(self, cells: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.cells, self.statuses, self.computed = cells, Counter[str](), 0
        self._clock, self._started_s = clock, clock()

    def add(self, status: str, cached: bool) -> None:
        """Count a cell."""
        self.statuses[status] += 1
        self.computed += not cached

    @property
    def failed(self) -> int:
        """Cells without a result that should have one."""
        return sum(count for status, count in self.statuses.items() if status not in ("ok", "skipped"))

    def seconds(self) -> float:
        """Return the time since the beginning."""
        return self._clock() - self._started_s

    def left_s(self) -> float | None:
        """Return how long the other cells will take if they are like those that were computed so far; None before the first."""
        left = self.cells - self.statuses.total()
        return self.seconds() * left / self.computed if self.computed and left else None

    def __str__(self) -> str:
        """Such as "120 of 1000 cells, 110 ok, 7 error, 3 timeout; 2 min, about 15 min left"."""
        counts = [
            f"{count} {status}" for status, count in sorted(self.statuses.items(), key=lambda item: (item[0] != "ok", item[0]))
        ]
        left_s = self.left_s()
        left = f", about {duration(left_s)} left" if left_s is not None else ""
        return f"{', '.join([f'{self.statuses.total()} of {self.cells} cells', *counts])}; {duration(self.seconds())}{left}"


def duration(seconds: float) -> str:
    """Return seconds as a person would say them."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


class Progress:
    """Listens to the runner's events. Use as a context manager."""

    def __init__(self, cells: int, console: Console | None = None, tally: Tally | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._tally = tally or Tally(cells)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
        self._shown = self._console.is_terminal
        self._bars = Bars(*columns, console=self._console, transient=True, disable=not self._shown)
        self._total = self._bars.add_task("cells", total=cells, note="")
        self._tasks: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._next_s = SUMMARY_INTERVAL_S

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()
        if self._tally.statuses:
            self._print(str(self._tally))

    def listen(self, event: Mapping[str, Any]) -> None:
        """Take one event of the runner, in any thread."""
        with self._lock:
            if event["event"] == "cell":
                self._cell(event)
            elif event["event"] == "remark":
                self._print(event["text"])
            else:
                self._task(event)

    def _cell(self, event: Mapping[str, Any]) -> None:
        tally = self._tally
        tally.add(event["status"], event.get("cached", False))
        if tally.cells <= MAX_LISTED_CELLS or (
            event["status"] not in ("ok", "skipped", "interrupted") and tally.failed <= MAX_LISTED_FAILURES
        ):
            self._print(_line(event))
        if tally.failed == MAX_LISTED_FAILURES + 1 and tally.cells > MAX_LISTED_CELLS:
            self._print("more cells fail; the table has all of them")
        note = f"{tally.failed} failed, " if tally.failed else ""
        left_s = tally.left_s()
        self._bars.update(self._total, advance=1, note=note + (f"about {duration(left_s)} left" if left_s is not None else ""))
        if not self._shown and tally.cells > MAX_LISTED_CELLS and tally.seconds() > self._next_s:
            self._print(str(tally))
            self._next_s = tally.seconds() + SUMMARY_INTERVAL_S

    def _task(self, event: Mapping[str, Any]) -> None:
        name = event["task"]
        if event["event"] == "begin":
            if name in self._tasks:  # a worker died, and another one begins anew
                self._bars.remove_task(self._tasks.pop(name))
            self._tasks[name] = self._bars.add_task(name, total=event["stages"] if event["stages"] > 1 else None, note="")
        elif name not in self._tasks:
            return
        elif event["event"] == "iteration":
            self._bars.update(self._tasks[name], completed=event["iteration"], total=event["total"])
        elif event["event"] == "made" and event["per_tilt"]:
            self._bars.advance(self._tasks[name])
        elif event["event"] == "done":
            self._bars.remove_task(self._tasks.pop(name))

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def _line(event: Mapping[str, Any]) -> str:
    start = f"cell {event['cell']}  {event['reconstructor']:<10} {event['status']:<11}"
    if event["status"] != "ok":
        return f"{start} {event['reason']}"
    parts = [f"{title} {value:.4g} {unit}".rstrip() for title, value, unit in event["scores"]]
    remark = f" ({event['reason']})" if event["reason"] else ""
    return f"{start} {', '.join(parts)}{remark}"
