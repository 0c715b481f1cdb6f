"""What a Dask worker does with a task: run it in a process of its own, and report its progress and its outcome.

In a cluster the worker is another process, perhaps of another machine: it agrees to the terms of the run first, sends what it
hears to the runner, and ends a task that the scheduler no longer wants, since the runner was stopped or is gone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import psutil

from benchsuite.errors import BenchsuiteError
from benchsuite.physics.backend import thread_count
from benchsuite.runner.processes import Place
from benchsuite.runner.session import Listen, Session
from benchsuite.runner.supervise import Limits, supervise
from benchsuite.runner.task import Task
from benchsuite.runner.terms import agreed

SESSION = "benchsuite"  # the extension of a Dask worker that holds its session
ITERATIONS_EVERY_S = 1.0  # of a task that runs elsewhere
DISAGREED = "disagreed"  # the status of a task whose worker does not fit the run


@dataclass(frozen=True)
class Elsewhere:
    """What a worker of a cluster has to know: the file of the terms, the folder of the runner, and the topic of its events."""

    terms: str
    folder: str
    topic: str


def execute(
    task: Task,
    upstream: Sequence[Mapping[str, Any]],
    *,
    time_s: float,
    memory_bytes: float | None,
    threads: int | None,
    elsewhere: Elsewhere | None = None,
) -> dict[str, Any]:
    """Run one task (called by a Dask worker) and return how it ended. Where something upstream failed, that is passed on instead.

    memory_bytes, threads: None for what there is where the task runs.
    """
    for earlier in upstream:
        if earlier["status"] != "ok":
            return passed_on(earlier, task)
    session = _worker().extensions.setdefault(SESSION, Session())  # of a local run it is the run's own
    send, wanted, place = session.listen, (lambda: True), None
    if elsewhere is not None:
        try:
            plugins = agreed(elsewhere.terms)
        except BenchsuiteError as error:
            return {"label": task.label, "status": DISAGREED, "reason": f"worker {_worker().address}: {error}"}
        task = replace(task, plugins=tuple(plugins[path] for path in task.plugins))
        send, wanted = _sender(elsewhere.topic), _wanted_by_scheduler()
        place = Place(elsewhere.folder if os.path.isdir(elsewhere.folder) else os.getcwd(), elsewhere.terms)

    def listen(event: Mapping[str, Any]) -> None:
        send({**event, "task": task.title})

    listen({"event": "begin", "stages": len(task.stages)})
    limits = Limits(time_s, memory_share_bytes() if memory_bytes is None else memory_bytes, wanted)
    count = thread_count() if threads is None else threads
    outcome = supervise(session, task, limits, threads=count, listen=listen, place=place)
    listen({"event": "done", "status": outcome.status})
    return {**asdict(outcome), "label": task.label}


def passed_on(earlier: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """Return the outcome of a task that cannot run because one upstream failed; another reconstructor is named in the reason."""
    if earlier["label"] in ("", task.label):
        return dict(earlier)
    return {**earlier, "label": task.label, "reason": f"{earlier['label']}, whose atoms are refined: {earlier['reason']}"}


def _worker() -> Any:
    from distributed import get_worker

    return get_worker()


def memory_share_bytes() -> float:
    """Return what a task may use on this Dask worker: its part of the worker's memory limit, or what the machine has free."""
    worker = _worker()
    limit = worker.memory_manager.memory_limit
    return limit / worker.state.nthreads if limit else float(psutil.virtual_memory().available)


def _sender(topic: str) -> Listen:
    """A listener that sends events to the runner, of iterations not more than one a second."""
    worker, sent_s = _worker(), 0.0

    def send(event: Mapping[str, Any]) -> None:
        nonlocal sent_s
        if event["event"] == "iteration":
            if time.monotonic() - sent_s < ITERATIONS_EVERY_S:
                return
            sent_s = time.monotonic()
        worker.log_event(topic, dict(event))

    return send


def _wanted_by_scheduler() -> Callable[[], bool]:
    """A function that returns whether the scheduler still wants the task that runs in this thread."""
    worker = _worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state in ("executing", "long-running")

    return wanted
