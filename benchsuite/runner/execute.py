"""What a Dask worker does with a task: run it in a process of its own, and say how it goes and ended.

In a cluster the worker is another process, perhaps of another machine: it agrees to the terms of the run first, sends what it
hears to the runner, and ends a task that the scheduler no longer wants, since the runner was stopped or is gone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from benchsuite.errors import BenchsuiteError
from benchsuite.physics.backend import thread_count
from benchsuite.runner import supervise
from benchsuite.runner.processes import Place
from benchsuite.runner.terms import agreed

Listen = Callable[[Mapping[str, Any]], None]
ITERATIONS_EVERY_S = 1.0  # of a task that runs elsewhere
DISAGREED = "disagreed"  # the status of a task whose worker does not fit the run
_listener: Listen = lambda event: None  # noqa: E731  the progress display of this process


def listen_with(listen: Listen) -> None:
    """Let this process tell all events of its tasks to somebody."""
    global _listener
    _listener = listen


def tell(event: Mapping[str, Any]) -> None:
    """Tell an event to whoever listens in this process."""
    _listener(event)


@dataclass(frozen=True)
class Elsewhere:
    """What a worker of a cluster has to know: the file of the terms, the folder of the runner, and the topic of its events."""

    terms: str
    folder: str
    topic: str


def execute(
    request: Mapping[str, Any],
    upstream: Sequence[Mapping[str, Any]],
    *,
    time_s: float,
    memory_bytes: float | None,
    threads: int | None,
    elsewhere: Elsewhere | None = None,
) -> dict[str, Any]:
    """Run one task (called by a Dask worker). Where something upstream failed, its reason is passed on instead.

    memory_bytes, threads: None for what there is where the task runs.
    """
    for earlier in upstream:
        if earlier["status"] != "ok":
            return {**earlier, "reason": _whose(earlier, request)}
    what = {"kind": request["kind"], "cell": request["cell"]["id"], "label": request["cell"]["reconstructor"]["label"]}
    what["part"] = str(request["tilts"][0]) if request["tilts"] else ""
    hear: Listen = tell
    wanted, place = (lambda: True), None
    if elsewhere is not None:
        try:
            plugins = agreed(elsewhere.terms)
        except BenchsuiteError as error:
            return {**what, "status": DISAGREED, "reason": _named(str(error))}
        request = {**request, "plugins": [plugins[path] for path in request["plugins"]]}
        hear, wanted = _sender(elsewhere.topic), _wish()
        place = Place(elsewhere.folder if os.path.isdir(elsewhere.folder) else os.getcwd(), elsewhere.terms)

    def listen(event: Mapping[str, Any]) -> None:
        hear({**event, **what})

    listen({"event": "begin", "share": request["tilts"]})
    outcome = supervise.supervise(
        request,
        time_s=time_s,
        memory_bytes=memory_share_bytes() if memory_bytes is None else memory_bytes,
        threads=thread_count() if threads is None else threads,
        listen=listen,
        wanted=wanted,
        place=place,
    )
    listen({"event": "done", "status": outcome.status})
    return {**outcome.to_json(), "kind": request["kind"], "label": what["label"]}


def memory_share_bytes() -> float:
    """Return what a task may use on this Dask worker: its part of the worker's memory limit, or what the machine has free."""
    from distributed import get_worker

    worker = get_worker()
    limit = worker.memory_manager.memory_limit
    return limit / worker.state.nthreads if limit else float(psutil.virtual_memory().available)


def _sender(topic: str) -> Listen:
    """A listener that sends events to the runner, of iterations not more than one a second."""
    from distributed import get_worker

    worker, sent_s = get_worker(), 0.0

    def send(event: Mapping[str, Any]) -> None:
        nonlocal sent_s
        if event["event"] == "iteration":
            if time.monotonic() - sent_s < ITERATIONS_EVERY_S:
                return
            sent_s = time.monotonic()
        worker.log_event(topic, dict(event))

    return send


def _wish() -> Callable[[], bool]:
    """A function that says whether the scheduler still wants the task that runs in this thread."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state in ("executing", "long-running")

    return wanted


def _named(reason: str) -> str:
    from distributed import get_worker

    return f"worker {get_worker().address}: {reason}"


def _whose(earlier: Mapping[str, Any], request: Mapping[str, Any]) -> str:
    """The reason of a task upstream, with the name of its reconstructor where it is another one's."""
    own = request["cell"]["reconstructor"]["label"]
    if earlier.get("kind") in ("atoms", "scores") and earlier["label"] != own:
        return f"{earlier['label']}, whose atoms are refined: {earlier['reason']}"
    return str(earlier["reason"])
