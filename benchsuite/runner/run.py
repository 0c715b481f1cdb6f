"""Running all cells of a scenario through Dask, each in a process of its own, and writing down how each one ended."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchsuite.errors import EXIT_CELLS_FAILED, EXIT_INTERRUPTED, EXIT_OK, BenchsuiteError
from benchsuite.results import METRIC, PREPROCESSED
from benchsuite.runner.checkpoints import LAST_GOOD, last_good_key
from benchsuite.runner.cluster import WORKERS_DIED, Crew, cluster_crew, local_crew, outcome_of
from benchsuite.runner.execute import DISAGREED, execute
from benchsuite.runner.folder import RunFolder
from benchsuite.runner.graph import CellGraph
from benchsuite.runner.plan import check_memory, check_specimens, default_workers, memory_limit_bytes, plan
from benchsuite.runner.session import Listen, Session
from benchsuite.runner.stages.base import Stage
from benchsuite.runner.stages.reconstruction import FACTS
from benchsuite.runner.stages.scores import match_remarks, stored_scores
from benchsuite.runner.task import planned_tasks
from benchsuite.scenario import Loaded
from benchsuite.storage import EXTRAS
from benchsuite.store import Store

INTERRUPTED = {"status": "interrupted", "reason": "the run was stopped; the same command continues it"}


@dataclass(frozen=True)
class Settings:
    """How to run: outside every content key. `scheduler`: the address of a Dask cluster that is there already."""

    out: Path
    store: Path
    workers: int | None = None
    device: str = "cpu"
    plugins: tuple[str, ...] = ()
    scheduler: str | None = None


def run(loaded: Loaded, settings: Settings, listen: Listen = lambda event: None) -> int:
    """Run (or continue) every cell and return the exit status: 0, 3 where a cell failed, 130 where interrupted.

    Raises BenchsuiteError before anything runs where the memory cannot suffice, the folders cannot be written, or no scheduler
    answers.
    """
    store = Store(settings.store)
    workers = settings.workers or default_workers()
    folder = RunFolder(settings.out, loaded, store)
    with folder.locked(), Session(listen) as session:
        check_specimens(loaded)
        plans = plan(loaded, store, settings.device)
        if settings.scheduler is None:
            check_memory(plans, workers)
        folder.begin({item.cell.id: str(item.graph.scores.key) for item in plans})
        store.sweep_temporaries()
        recorder = Recorder(settings, store, folder, session)
        try:
            unfinished = recorder.record_stored([item.graph for item in plans])
            if unfinished and settings.scheduler is None:
                with local_crew(workers, session) as crew:
                    _run_cells(unfinished, recorder, crew)
            elif unfinished:
                with cluster_crew(str(settings.scheduler), store.root, settings.plugins, session) as crew:
                    crew.check_memory(plans)
                    _run_cells(unfinished, recorder, crew)
        finally:
            folder.write_table()
    statuses = set(recorder.statuses.values())
    if "interrupted" in statuses:
        return EXIT_INTERRUPTED
    return EXIT_OK if statuses <= {"ok", "skipped"} else EXIT_CELLS_FAILED


@dataclass(frozen=True)
class Recorder:
    """Writes down how cells ended; `statuses` by cell id."""

    settings: Settings
    store: Store
    folder: RunFolder
    session: Session
    statuses: dict[str, str] = field(default_factory=dict)

    def record_stored(self, graphs: Sequence[CellGraph]) -> list[CellGraph]:
        """Write down the cells whose results are in the store, and whole; return the other ones."""
        unfinished = []
        for graph in graphs:
            if all(self.store.open(goal.key) is not None for goal in graph.goals):
                self.record(graph, {"status": "ok", "reason": ""}, cached=True)
            else:
                unfinished.append(graph)
        return unfinished

    def record(self, graph: CellGraph, outcome: Mapping[str, Any], cached: bool = False) -> None:
        """Write down how a cell ended. Raises BenchsuiteError where its worker does not fit the run."""
        if outcome["status"] == DISAGREED:
            raise BenchsuiteError(outcome["reason"])
        cell, store = graph.cell, self.store
        row: dict[str, Any] = {
            "cell": cell.id,
            "scenario": self.folder.loaded.scenario.name,
            "scale": self.folder.loaded.scale,
            "status": outcome["status"],
            "reason": outcome["reason"],
            "reconstructor": cell.reconstructor.label,
            "repeat": cell.repeat,
            "seed": cell.experiment.seed,
            "device": self.settings.device,
            "engine": cell.experiment.engine,
            **cell.swept,
        }
        scores = stored_scores(graph.goals, store) if outcome["status"] == "ok" else None
        if scores is not None:
            row |= {**scores, **resources_used(graph, store)}
            remarks = (_remarks(graph, store), *match_remarks(graph.scores.match, store))
            row["reason"] = "; ".join(part for part in remarks if part)
        elif outcome["status"] == "ok":
            row |= {"status": "error", "reason": "the stored scores are gone or damaged; run the same command again"}
        elif outcome.get("peak_memory_bytes"):
            row["peak_memory_mb"] = outcome["peak_memory_bytes"] / 1e6
        self.folder.finish_cell(cell, row, _keys(graph, outcome, store), outcome.get("log", ""))
        about = {key: row[key] for key in ("cell", "status", "reason", "reconstructor")}
        self.session.listen({"event": "cell", **about, "scores": self.folder.shown_scores(row), "cached": cached})
        self.statuses[cell.id] = row["status"]


def _run_cells(graphs: Sequence[CellGraph], recorder: Recorder, crew: Crew) -> None:
    """Let the crew run cells, and write down how each one ended. Raises BenchsuiteError where the run cannot go on."""
    submitted: list[Any] = []
    try:
        suspects: list[CellGraph] = []
        for graph, outcome in _outcomes(graphs, recorder, crew, submitted):
            if outcome["status"] == WORKERS_DIED:
                suspects.append(graph)
            else:
                recorder.record(graph, outcome)
        for suspect in suspects:  # alone, none is blamed for another one
            for graph, outcome in _outcomes([suspect], recorder, crew, submitted):
                recorder.record(graph, {**outcome, "status": "error"} if outcome["status"] == WORKERS_DIED else outcome)
    except KeyboardInterrupt:
        recorder.session.stop()
    finally:
        recorder.session.stop()
        crew.client.cancel([future for future in submitted if not future.done()])
    stopped = [graph for graph in graphs if graph.cell.id not in recorder.statuses]
    with ThreadPoolExecutor(16) as pool:  # as fast as the disk: somebody waits for the end
        list(pool.map(lambda graph: recorder.record(graph, INTERRUPTED), stopped))


def _outcomes(
    graphs: Sequence[CellGraph], recorder: Recorder, crew: Crew, submitted: list[Any]
) -> Iterator[tuple[CellGraph, Mapping[str, Any]]]:
    """Submit the tasks of cells, and yield each cell with its outcome when it has ended. Adds the futures to those submitted."""
    from distributed import as_completed

    settings, run_id = recorder.settings, uuid.uuid4().hex[:8]  # others may use the same cluster, for the same cells
    futures, goals = list[Any](), dict[str, CellGraph]()
    for item in planned_tasks(graphs, recorder.store, crew.workers, settings.device, settings.plugins):
        limits = item.cell.experiment.limits
        future = crew.client.submit(
            execute,
            item.task,
            [futures[place] for place in item.after],
            time_s=limits.time_s,
            memory_bytes=memory_limit_bytes(item.cell) if limits.memory_GB or crew.elsewhere is None else None,
            threads=crew.threads,
            elsewhere=crew.elsewhere,
            key=f"{item.task.title} {run_id}-{len(futures)}",
            pure=False,
            retries=2,
        )
        futures.append(future)
        submitted.append(future)
        if item.goal is not None:
            goals[future.key] = item.goal
    wait = {"loop": crew.client.loop, "with_results": True, "raise_errors": False}
    for future, result in as_completed([future for future in futures if future.key in goals], **wait):
        yield goals[future.key], outcome_of(future, result)


def _keys(graph: CellGraph, outcome: Mapping[str, Any], store: Store) -> dict[str, str]:
    """Return the keys of what the store has of a cell, by the names that `benchsuite.results` knows."""
    stages: dict[str, Stage] = {"series": graph.series, "reconstruction": graph.reconstruction}
    stages |= {"atoms": graph.atoms, "match": graph.scores.match, "scores": graph.scores}
    stages |= {f"{METRIC}{spec.name}": stage for stage in graph.metrics for spec in stage.metrics}
    stages |= {f"{PREPROCESSED}{number}": step for number, step in enumerate(graph.preprocessing)}
    keys = {name: str(stage.key) for name, stage in stages.items() if store.has(stage.key)}
    last_good = last_good_key(graph.reconstruction.key)
    if outcome["status"] == "diverged" and store.has(last_good):
        keys[LAST_GOOD] = str(last_good)
    return keys


def resources_used(graph: CellGraph, store: Store) -> dict[str, float]:
    """Return time and memory of a reconstruction, with those of the steps before it and of what it started from."""
    texts = [store.read(stage.key, FACTS) for stage in (*graph.preprocessing, graph.reconstruction)]
    facts = [json.loads(text) for text in texts if text is not None]
    if not facts:
        return {}
    initial = resources_used(graph.initial, store) if graph.initial is not None else {}
    peak_mb = max(fact["peak_memory_bytes"] for fact in facts) / 1e6
    return {
        "reconstruct_s": sum(fact["seconds"] for fact in facts) + initial.get("reconstruct_s", 0.0),
        "peak_memory_mb": max(peak_mb, initial.get("peak_memory_mb", 0.0)),
    }


def _remarks(graph: CellGraph, store: Store) -> str:
    """What the preprocessing steps want a user to know."""
    texts = [store.read(step.key, f"{EXTRAS}/zarr.json") for step in graph.preprocessing]
    remarks = [json.loads(text)["attributes"]["about"]["remark"] for text in texts if text is not None]
    return "; ".join(remark for remark in remarks if remark)
