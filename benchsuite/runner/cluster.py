"""Dask: a local cluster of threads in this process, or one that is there already and answers at an address."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchsuite.errors import BenchsuiteError
from benchsuite.runner.execute import SESSION, Elsewhere
from benchsuite.runner.plan import CellPlan, default_workers
from benchsuite.runner.session import Session
from benchsuite.runner.terms import agree, write_terms

CONNECT_TIMEOUT_S = 5.0
WORKERS_DIED = "died"  # the status of a task whose workers died: because of it, or of another one that they ran at the same time
WORKERS_TIMEOUT_S = float(os.environ.get("BENCHSUITE_WORKERS_WAIT_S", "300"))  # a queue may let workers wait


@dataclass(frozen=True)
class Crew:
    """Who does the work. `threads` of a task: None where each worker knows its own."""

    client: Any
    workers: int
    threads: int | None
    elsewhere: Elsewhere | None = None

    def check_memory(self, plans: Sequence[CellPlan]) -> None:
        """Raise BenchsuiteError, with the numbers, where no worker of a cluster has the memory for the largest cell."""
        shares = [one["memory_limit"] / one["nthreads"] for one in _workers_of(self.client).values() if one["memory_limit"]]
        for item in plans:
            given = item.cell.experiment.limits.memory_GB
            if not item.cached and shares and item.peak_bytes > (largest := given * 1e9 if given else max(shares)):
                raise BenchsuiteError(
                    f"cell {item.cell.id} needs about {item.peak_bytes / 1e9:.1f} GB, a task may use {largest / 1e9:.1f} GB; "
                    "choose a smaller scale or grid, raise limits.memory_GB, or give Dask workers more memory or fewer threads"
                )


@contextmanager
def local_crew(workers: int, session: Session) -> Iterator[Crew]:
    """Threads of this process, each of which looks after one worker process at a time."""
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.ERROR)
    local = {"n_workers": 1, "threads_per_worker": workers, "processes": False, "memory_limit": 0, "silence_logs": logging.ERROR}
    with LocalCluster(**local, dashboard_address="127.0.0.1:0") as cluster, Client(cluster) as client:
        for worker in cluster.workers.values():
            worker.extensions[SESSION] = session
        try:
            yield Crew(client, workers, max(1, default_workers() // workers))
        finally:
            session.stop()


@contextmanager
def cluster_crew(address: str, store: Path, plugins: Sequence[str], session: Session) -> Iterator[Crew]:
    """The workers of the scheduler at an address, once they have agreed to the terms.

    Raises BenchsuiteError where nobody answers, and with the name of a worker that does not see the store or has other code.
    """
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.ERROR)
    terms = write_terms(store, plugins)
    try:
        try:
            client = Client(address, timeout=CONNECT_TIMEOUT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise BenchsuiteError(f"--scheduler {address}: no Dask scheduler answers there ({error})") from None
        with client:
            _wait_for_workers(client, address, session)
            _check_workers(client, str(terms))
            topic = f"benchsuite-{terms.stem}"
            client.subscribe_topic(topic, lambda event: session.listen(event[1]))
            threads = sum(one["nthreads"] for one in _workers_of(client).values())
            yield Crew(client, threads, None, Elsewhere(str(terms), os.getcwd(), topic))
    finally:
        terms.unlink(missing_ok=True)


def _workers_of(client: Any) -> Mapping[str, Any]:
    return client.scheduler_info(n_workers=-1)["workers"]


def _wait_for_workers(client: Any, address: str, session: Session) -> None:
    if _workers_of(client):
        return
    session.listen(
        {"event": "remark", "text": f"the scheduler at {address} has no workers yet; waiting for at most {WORKERS_TIMEOUT_S:g} s"}
    )
    try:
        client.wait_for_workers(1, timeout=WORKERS_TIMEOUT_S)
    except TimeoutError:
        raise BenchsuiteError(f"--scheduler {address}: no worker within {WORKERS_TIMEOUT_S:g} s") from None


def _check_workers(client: Any, terms: str) -> None:
    answers = client.run(agree, terms, on_error="return")
    for worker, answer in sorted(answers.items()):
        if isinstance(answer, (ImportError, AttributeError)):
            raise BenchsuiteError(f"worker {worker}: cannot import benchsuite as the runner has it ({answer}); install it there")
        if isinstance(answer, BenchsuiteError):
            raise BenchsuiteError(f"worker {worker}: {answer}")
        if isinstance(answer, Exception):
            raise BenchsuiteError(f"worker {worker}: {type(answer).__name__}: {answer}")


def outcome_of(future: Any, result: Any) -> Mapping[str, Any]:
    """Return how a task ended, where its worker or the scheduler came to an end instead, too."""
    if future.status == "finished":
        return result
    if future.status in ("cancelled", "lost"):
        return {"status": "interrupted", "reason": "the Dask scheduler has given the task up, or is gone"}
    error = result[1]
    if type(error).__name__ == "KilledWorker":
        return {"status": WORKERS_DIED, "reason": f"the Dask worker died each of {error.allowed_failures + 1} times it was tried"}
    return {"status": "error", "reason": f"{type(error).__name__}: {error}"}
