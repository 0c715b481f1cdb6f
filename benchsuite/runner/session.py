"""What belongs to one run in this process: who listens, the processes that run its tasks, and whether it has been stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Any

from benchsuite.runner.processes import Place, Process, Workers
from benchsuite.runner.task import Task

Listen = Callable[[Mapping[str, Any]], None]


class Session:
    """One run, as a context manager: its fork servers end with it. Runs in one process share nothing of this."""

    def __init__(self, listen: Listen = lambda event: None) -> None:
        self.listen = listen
        self.workers = Workers()
        self._stopped = threading.Event()
        self._running: set[Process] = set()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        self.workers.close()

    @property
    def stopped(self) -> bool:
        """Whether the run is to end: tasks that run are interrupted, and no new one starts."""
        return self._stopped.is_set()

    @contextmanager
    def process(self, task: Task, threads: int, log: IO[bytes], place: Place | None) -> Iterator[Process]:
        """Yield the process of a task; on leaving it has ended."""
        process = self.workers.start(task, threads, log, place)
        self._running.add(process)
        try:
            yield process
        finally:
            self._running.discard(process)
            process.end()

    def stop(self) -> None:
        """Kill every running task and let no new one start: the answer to Ctrl-C."""
        self._stopped.set()
        for process in list(self._running):
            process.end()
