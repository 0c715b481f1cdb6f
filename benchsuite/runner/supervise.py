"""Running a task in a process that can be killed: time limit, memory limit, Ctrl-C, and a reason for every ending."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from benchsuite.runner.memory import tree_bytes
from benchsuite.runner.processes import Place, Process
from benchsuite.runner.session import Listen, Session
from benchsuite.runner.task import Task

POLL_S = 0.1
LOG_BYTES = 20_000
RETRIED_SIGNALS = (signal.SIGKILL, signal.SIGTERM)  # signals that somebody else sends


@dataclass(frozen=True)
class Outcome:
    """How a task ended. `log` is the end of what it printed; `peak_memory_bytes` covers the whole process tree."""

    status: str
    reason: str = ""
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    log: str = ""
    stages_made: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Limits:
    """When a task is ended: after `time_s` in one stage, beyond `memory_bytes` of its process tree, or when it is not `wanted`."""

    time_s: float
    memory_bytes: float
    wanted: Callable[[], bool] = lambda: True


def supervise(
    session: Session, task: Task, limits: Limits, *, threads: int, listen: Listen = lambda event: None, place: Place | None = None
) -> Outcome:
    """Run one task in its own process and return how it ended. Never raises for what the task does.

    A process that somebody else kills (the kernel, when memory runs out) is started once more, since that says nothing about the
    algorithm.
    """

    def attempt() -> Outcome:
        if session.stopped:
            return Outcome("interrupted", "stopped before it began")
        with tempfile.TemporaryFile() as log, session.process(task, threads, log, place) as process:
            return _follow(process, task, limits, session, listen, log)

    outcome = attempt()
    if outcome.status == "killed":
        outcome = attempt()
    if outcome.status == "killed":
        return Outcome("oom", f"{outcome.reason}, twice (out of memory?)", outcome.seconds, outcome.peak_memory_bytes, outcome.log)
    return outcome


def _follow(process: Process, task: Task, limits: Limits, session: Session, listen: Listen, log: IO[bytes]) -> Outcome:
    started, events = time.monotonic(), queue.SimpleQueue[str | None]()
    reader = threading.Thread(target=_pass_on, args=(process.stdout, events), daemon=True)
    reader.start()
    try:
        process.stdin.write(json.dumps(asdict(task)) + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # the process died at once; its return code below says how
    stage, stage_started, peak, measured, end_event, stages_made = "start", started, 0, 0.0, None, list[str]()

    def finish(status: str, reason: str) -> Outcome:
        return Outcome(status, reason, time.monotonic() - started, peak, _tail(log), stages_made)

    while True:
        code = process.poll()
        if code is not None:
            reader.join(timeout=5)
        for event in _received(events, wait_s=0 if code is not None else POLL_S):
            if event["event"] == "stage":
                stage, stage_started = event["stage"], time.monotonic()
            elif event["event"] == "made":
                stages_made.append(event["stage"])
            elif event["event"] == "end":
                end_event = event
            listen(event)
        if end_event is not None:
            return finish(end_event["status"], end_event["reason"])
        if session.stopped or not limits.wanted():
            return finish("interrupted", f"stopped during {stage}")
        if code is not None:
            return finish(*_unfinished(code, stage))
        if time.monotonic() - measured > POLL_S:
            peak, measured = max(peak, used := tree_bytes(process.pid)), time.monotonic()
            if used > limits.memory_bytes:
                return finish("oom", f"{stage} used {used / 1e9:.2f} GB, more than the limit of {limits.memory_bytes / 1e9:.2f} GB")
        if time.monotonic() - stage_started > limits.time_s:
            return finish("timeout", f"{stage} ran longer than the limit of {limits.time_s:g} s")


def _unfinished(code: int, stage: str) -> tuple[str, str]:
    """Status and reason of a worker that ended without reporting an outcome."""
    if code >= 0:
        return "error", f"the worker ended with exit status {code} during {stage}"
    name = signal.Signals(-code).name
    if -code in RETRIED_SIGNALS:
        return "killed", f"the worker was killed by {name} during {stage}"
    return "error", f"the worker crashed ({name}) during {stage}"


def _pass_on(lines: IO[str], events: queue.SimpleQueue[str | None]) -> None:
    with contextlib.suppress(ValueError):  # closed meanwhile
        for line in lines:
            events.put(line)
    events.put(None)


def _received(events: queue.SimpleQueue[str | None], wait_s: float) -> Iterator[dict[str, Any]]:
    """What has come; waits a little for the first."""
    with contextlib.suppress(queue.Empty):
        line = events.get(timeout=wait_s) if wait_s else events.get_nowait()
        while True:
            if line is not None:
                yield json.loads(line)
            line = events.get_nowait()


def _tail(log: IO[bytes]) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - LOG_BYTES))
    return log.read().decode(errors="replace")
