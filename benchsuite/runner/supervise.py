"""Running a task in a process that can be killed: time limit, memory limit, Ctrl-C, and a reason for every ending."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from benchsuite.runner.memory import tree_bytes

POLL_S = 0.1
LOG_BYTES = 20_000
_running: set[subprocess.Popen[str]] = set()
_stopping = threading.Event()


@dataclass(frozen=True)
class Outcome:
    """How a task ended. `log` is the end of what it printed; `peak_memory_bytes` covers the whole process tree."""

    status: str
    reason: str = ""
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    log: str = ""
    made: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def supervise(
    request: Mapping[str, Any],
    *,
    time_s: float,
    memory_bytes: float,
    threads: int,
    listen: Callable[[Mapping[str, Any]], None] = lambda event: None,
) -> Outcome:
    """Run one task in its own process and return how it ended. Never raises for what the task does.

    time_s holds for each stage; memory_bytes for the resident memory of the process tree. A process that somebody else kills
    (the kernel, when memory runs out) is started once more, since that says nothing about the algorithm.
    """
    outcome = _attempt(request, time_s, memory_bytes, threads, listen)
    if outcome.status == "killed":
        outcome = _attempt(request, time_s, memory_bytes, threads, listen)
    if outcome.status == "killed":
        return Outcome("oom", f"{outcome.reason}, twice (out of memory?)", outcome.seconds, outcome.peak_memory_bytes, outcome.log)
    return outcome


def stop_all() -> None:
    """Kill every running task and let no new one start: the answer to Ctrl-C."""
    _stopping.set()
    for process in list(_running):
        _kill(process)


def allow_starts() -> None:
    """Let tasks start again (a new run in the same process)."""
    _stopping.clear()


def _attempt(
    request: Mapping[str, Any],
    time_s: float,
    memory_bytes: float,
    threads: int,
    listen: Callable[[Mapping[str, Any]], None],
) -> Outcome:
    if _stopping.is_set():
        return Outcome("interrupted", "stopped before it began")
    started = time.monotonic()
    with tempfile.TemporaryFile() as log:
        process = _start(threads, log)
        _running.add(process)
        try:
            return _follow(process, request, time_s, memory_bytes, started, listen, log)
        finally:
            _kill(process)
            _running.discard(process)


def _start(threads: int, log: IO[bytes]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "MPLBACKEND": "Agg"}
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        environment[name] = str(threads)
    return subprocess.Popen(
        [sys.executable, "-m", "benchsuite.runner.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        text=True,
        start_new_session=True,
    )


def _follow(
    process: subprocess.Popen[str],
    request: Mapping[str, Any],
    time_s: float,
    memory_bytes: float,
    started: float,
    listen: Callable[[Mapping[str, Any]], None],
    log: IO[bytes],
) -> Outcome:
    assert process.stdin is not None
    assert process.stdout is not None
    events: queue.SimpleQueue[str] = queue.SimpleQueue()
    reader = threading.Thread(target=_pass_on, args=(process.stdout, events), daemon=True)
    reader.start()
    try:
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # the process died at once; its return code below says how
    stage, stage_started, peak, ended, made = "start", time.monotonic(), 0, None, list[str]()

    def finish(status: str, reason: str) -> Outcome:
        return Outcome(status, reason, time.monotonic() - started, peak, _tail(log), made)

    while True:
        finished = process.poll() is not None
        if finished:
            reader.join(timeout=5)
        while not events.empty():
            event = json.loads(events.get())
            if event["event"] == "stage":
                stage, stage_started = event["stage"], time.monotonic()
            elif event["event"] == "made":
                made.append(event["stage"])
            elif event["event"] == "end":
                ended = event
            listen(event)
        if ended is not None:
            return finish(ended["status"], ended["reason"])
        if _stopping.is_set():
            return finish("interrupted", f"stopped during {stage}")
        if finished:
            code = process.returncode
            if code < 0:
                return finish("killed", f"the worker was killed by {signal.Signals(-code).name} during {stage}")
            return finish("error", f"the worker ended with exit status {code} during {stage}")
        peak = max(peak, used := tree_bytes(process.pid))
        if used > memory_bytes:
            return finish("oom", f"{stage} used {used / 1e9:.2f} GB, more than the limit of {memory_bytes / 1e9:.2f} GB")
        if time.monotonic() - stage_started > time_s:
            return finish("timeout", f"{stage} ran longer than the limit of {time_s:g} s")
        time.sleep(POLL_S)


def _pass_on(lines: IO[str], events: queue.SimpleQueue[str]) -> None:
    for line in lines:
        events.put(line)


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _tail(log: IO[bytes]) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - LOG_BYTES))
    return log.read().decode(errors="replace")
