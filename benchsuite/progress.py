"""Progress of a run: bars on a terminal, one line per finished cell in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars


class Progress:
    """Listens to the runner's events. Use as a context manager."""

    def __init__(self, cells: int) -> None:
        self._console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bars = Bars(*columns, console=self._console, transient=True, disable=not sys.stderr.isatty())
        self._total = self._bars.add_task("cells", total=cells)
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def listen(self, event: Mapping[str, Any]) -> None:
        """Take one event of the runner."""
        if event["event"] == "cell":
            self._bars.advance(self._total)
            self._console.print(_line(event), markup=False, highlight=False, soft_wrap=True)
            return
        name = f"{event['kind']} {event['cell']} {event['label'] if event['kind'] == 'scores' else event['part']}".strip()
        if event["event"] == "begin":
            self._tasks[name] = self._bars.add_task(name, total=len(event["share"]) or None)
        elif name not in self._tasks:
            return
        elif event["event"] == "iteration":
            self._bars.update(self._tasks[name], completed=event["iteration"], total=event["total"])
        elif event["event"] == "made" and event["stage"] in ("image", "prepared_tilt"):
            self._bars.advance(self._tasks[name])
        elif event["event"] == "done":
            self._bars.remove_task(self._tasks.pop(name))


SHOWN = {  # scores on the line of a cell, where it has them
    "rmsd_pm": "RMSD {:.2f} pm",
    "tracing_error_pct": "tracing error {:.2f} %",
    "classification_rate_pct": "classified {:.1f} %",
    "phase_correlation": "phase correlation {:.3f}",
    "slice_correlation": "of the worst slice {:.3f}",
    "reconstruct_s": "{:.1f} s",
}
WITHOUT_TRUTH = {
    "n_traced": "{} atoms traced",
    "r_factor": "R-factor {:.3f}",
    "resolution_half_sets_A": "half sets agree to {:.2f} Å",
    "reconstruct_s": SHOWN["reconstruct_s"],
}


def _line(event: Mapping[str, Any]) -> str:
    row = event["row"]
    start = f"cell {event['cell']}  {event['reconstructor']:<10} {event['status']:<11}"
    if event["status"] != "ok":
        return f"{start} {event['reason']}"
    shown = SHOWN if "n_true" in row else WITHOUT_TRUTH
    parts = [text.format(row[key]) for key, text in shown.items() if key in row]
    remark = f" ({event['reason']})" if event["reason"] else ""
    return f"{start} {', '.join(parts)}{remark}"
