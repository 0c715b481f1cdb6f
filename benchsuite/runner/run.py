"""Running all cells of a scenario through Dask, each in a process of its own, and writing down how each one ended."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchsuite.errors import EXIT_CELLS_FAILED, EXIT_INTERRUPTED, EXIT_OK, BenchsuiteError
from benchsuite.results import PREPROCESSED
from benchsuite.runner import supervise
from benchsuite.runner.checkpoints import LAST_GOOD, last_good_key
from benchsuite.runner.cluster import DIED, Crew, cluster_crew, local_crew, outcome_of
from benchsuite.runner.execute import DISAGREED, Listen, execute, listen_with, tell
from benchsuite.runner.folder import RunFolder
from benchsuite.runner.measures import with_metrics
from benchsuite.runner.plan import check_memory, check_specimens, default_workers, memory_limit_bytes, plan
from benchsuite.runner.stages import Flow, ImageStage, Stage
from benchsuite.runner.stages.preprocessing import PreprocessedTiltStage
from benchsuite.runner.stages.reconstruction import FACTS
from benchsuite.runner.stages.scores import VALUES
from benchsuite.runner.task import Task
from benchsuite.scenario import Cell, Loaded
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
    listen_with(listen)
    store = Store(settings.store)
    workers = settings.workers or default_workers()
    folder = RunFolder(settings.out, loaded, store)
    with folder.locked():
        check_specimens(loaded)
        plans = plan(loaded, store, settings.device)
        if settings.scheduler is None:
            check_memory(plans, workers)
        cells = [(item.cell, item.made) for item in plans]
        folder.begin({cell.id: str(made.scores.key) for cell, made in cells})
        store.sweep_temporaries()
        supervise.allow_starts()
        try:
            statuses, rest = _from_store(cells, settings, store, folder)
            if rest and settings.scheduler is None:
                with local_crew(workers) as crew:
                    statuses |= _run_cells(rest, settings, store, crew, folder)
            elif rest:
                with cluster_crew(str(settings.scheduler), store.root, settings.plugins) as crew:
                    crew.check_memory(plans)
                    statuses |= _run_cells(rest, settings, store, crew, folder)
        finally:
            folder.write_table()
    if "interrupted" in statuses.values():
        return EXIT_INTERRUPTED
    return EXIT_OK if set(statuses.values()) <= {"ok", "skipped"} else EXIT_CELLS_FAILED


Made = tuple[Cell, Flow]


def _from_store(
    cells: Sequence[Made], settings: Settings, store: Store, folder: RunFolder
) -> tuple[dict[str, str], Sequence[Made]]:
    """Write down the cells whose results are in the store, and whole; return their statuses, and the other cells."""
    statuses, rest = dict[str, str](), list[Made]()
    for cell, made in cells:
        if all(store.open(stage.key) is not None for stage in made.last()):
            statuses[cell.id] = _write_down(cell, made, {"status": "ok", "reason": ""}, settings, store, folder, cached=True)
        else:
            rest.append((cell, made))
    return statuses, rest


def _run_cells(rest: Sequence[Made], settings: Settings, store: Store, crew: Crew, folder: RunFolder) -> dict[str, str]:
    """Let the crew run cells; return how each one ended. Raises BenchsuiteError where the run cannot go on."""
    from distributed import as_completed

    statuses: dict[str, str] = {}
    futures: list[tuple[Made, Any]] = []

    def ended(cells: Sequence[Made]) -> Iterator[tuple[Made, Mapping[str, Any]]]:
        begun = len(futures)
        _submit(crew, cells, settings, store, futures)
        made = {future.key: made for made, future in futures[begun:]}
        wait = {"loop": crew.client.loop, "with_results": True, "raise_errors": False}
        for future, result in as_completed([future for _, future in futures[begun:]], **wait):
            yield made[future.key], outcome_of(future, result)

    def finish(cell: Cell, made: Flow, outcome: Mapping[str, Any]) -> None:
        if outcome["status"] == DISAGREED:
            raise BenchsuiteError(outcome["reason"])
        statuses[cell.id] = _write_down(cell, made, outcome, settings, store, folder)

    try:
        suspects: list[Made] = []
        for (cell, made), outcome in ended(rest):
            if outcome["status"] == DIED:
                suspects.append((cell, made))
            else:
                finish(cell, made, outcome)
        for suspect in suspects:  # alone, none is blamed for another one
            for (cell, made), outcome in ended([suspect]):
                finish(cell, made, {**outcome, "status": "error"} if outcome["status"] == DIED else outcome)
    except KeyboardInterrupt:
        supervise.stop_all()
    finally:
        supervise.stop_all()
        crew.client.cancel([future for _, future in futures if not future.done()])
    left = [(cell, made) for cell, made in rest if cell.id not in statuses]
    with ThreadPoolExecutor(16) as pool:  # as fast as the disk: somebody waits for the end
        stopped = pool.map(lambda one: _write_down(one[0], one[1], INTERRUPTED, settings, store, folder), left)
        return statuses | {cell.id: status for (cell, _), status in zip(left, stopped, strict=True)}


def _submit(crew: Crew, cells: Sequence[Made], settings: Settings, store: Store, futures: list[tuple[Made, Any]]) -> None:
    """Submit phantom, image, series and cell tasks; what several cells share is submitted once. Adds the futures of cells."""
    shared: dict[str, Any] = {}
    unique = uuid.uuid4().hex[:8]  # others may use the same cluster, for the same cells

    def submit(task: Task, after: Sequence[Any], name: str) -> Any:
        if name not in shared:
            limits = task.cell.experiment.limits
            shared[name] = crew.client.submit(
                execute,
                task.to_json(),
                list(after),
                time_s=limits.time_s,
                memory_bytes=memory_limit_bytes(task.cell) if limits.memory_GB or crew.elsewhere is None else None,
                threads=crew.threads,
                elsewhere=crew.elsewhere,
                key=f"{name} {unique}",
                pure=False,
                retries=2,
            )
        return shared[name]

    def task(kind: str, cell: Cell, tilts: tuple[int, ...] = (), step: int = 0) -> Task:
        return Task(kind, cell, str(store.root), settings.device, tilts, settings.plugins, step)

    def data(cell: Cell, made: Flow) -> list[Any]:
        if made.preprocessed and store.has(made.preprocessed[-1].key) and store.has(made.series.key):
            return []
        before = recorded(cell, made)
        for number, step in enumerate(made.preprocessed):
            if store.has(step.key):
                continue
            tilts = [
                submit(task("preprocessed_tilts", cell, share, number), before, f"preprocessed {share} {step.key}")
                for share in _shares(step.tilts(), store, crew.workers)
            ]
            before = [submit(task("preprocessed", cell, step=number), tilts or before, f"preprocessed {step.key}")]
        return before

    def recorded(cell: Cell, made: Flow) -> list[Any]:
        if store.has(made.series.key):
            return []
        if made.phantom is None or not made.images:  # one's own
            return [submit(task("series", cell), [], f"series {made.series.key}")]
        phantom = submit(task("phantom", cell), [], f"phantom {made.phantom.key}")
        images = [
            submit(task("images", cell, tilts), [phantom], f"images {tilts} {made.images[tilts[0]].key}")
            for tilts in _shares(made.series.upstream(), store, crew.workers)
        ]
        return [submit(task("series", cell), images, f"series {made.series.key}")]

    scored: dict[str, Any] = {}  # by the key of the scores: what is refined is often a cell of its own

    def all_before(cell: Cell, made: Flow) -> list[Any]:
        before = data(cell, made)
        if cell.initial is not None and made.first is not None:
            first, key = made.first, str(made.first.scores.key)
            if key not in scored:
                scored[key] = submit(task("atoms", cell.initial), all_before(cell.initial, first), f"atoms {first.atoms.key}")
            before.append(scored[key])
        return before

    refined = {str(made.first.scores.key) for _, made in cells if made.first is not None}
    for cell, made in cells:
        before, key = all_before(cell, made), str(made.scores.key)
        if made.metrics and key in refined:  # a metric that fails costs its own cell, not those that refine its atoms
            scored[key] = submit(task("atoms", cell), before, f"atoms {made.atoms.key}")
            before = [scored[key]]
        future = submit(task("scores", cell), before, f"cell {cell.id}")
        scored.setdefault(key, future)
        futures.append(((cell, made), future))


def _shares(tilts: Sequence[ImageStage] | Sequence[PreprocessedTiltStage], store: Store, workers: int) -> list[tuple[int, ...]]:
    """Deal the tilts that are not in the store to the workers."""
    missing = [one.tilt for one in tilts if not store.has(one.key)]
    return [share for first in range(workers) if (share := tuple(missing[first::workers]))]


def _write_down(
    cell: Cell,
    made: Flow,
    outcome: Mapping[str, Any],
    settings: Settings,
    store: Store,
    folder: RunFolder,
    cached: bool = False,
) -> str:
    stages: dict[str, Stage] = {stage.name: stage for stage in (made.series, made.reconstruction, made.atoms, made.scores)}
    stages |= {f"{PREPROCESSED}{number}": step for number, step in enumerate(made.preprocessed)}
    keys = {name: str(stage.key) for name, stage in stages.items() if store.has(stage.key)}
    if outcome["status"] == "diverged" and store.has(last_good := last_good_key(made.reconstruction.key)):
        keys[LAST_GOOD] = str(last_good)
    row: dict[str, Any] = {
        "cell": cell.id,
        "scenario": folder.loaded.scenario.name,
        "scale": folder.loaded.scale,
        "status": outcome["status"],
        "reason": outcome["reason"],
        "reconstructor": cell.reconstructor.label,
        "repeat": cell.repeat,
        "seed": cell.experiment.seed,
        "device": settings.device,
        "engine": cell.experiment.engine,
        **cell.swept,
    }
    measures: dict[str, dict[str, str]] = {}
    scores = store.read(made.scores.key, VALUES) if outcome["status"] == "ok" else None
    if outcome["status"] == "ok" and scores is None:
        row |= {"status": "error", "reason": "the stored scores are gone or damaged; run the same command again"}
    if scores is not None:
        scored = json.loads(scores)
        row |= scored["values"]
        row |= _took(made, store)
        row["reason"] = "; ".join(part for part in (_remarks(made, store), *scored["remarks"]) if part)
        row, measures = with_metrics(row, made.metrics, store)
    elif outcome.get("peak_memory_bytes"):
        row["peak_memory_mb"] = outcome["peak_memory_bytes"] / 1e6
    folder.finish_cell(cell, row, keys, outcome.get("log", ""), measures)
    told = {key: row[key] for key in ("cell", "status", "reason", "reconstructor")}
    tell({"event": "cell", **told, "row": row, "cached": cached})
    return str(row["status"])


def _took(made: Flow, store: Store) -> dict[str, float]:
    """Return time and memory of a reconstruction, with those of the steps before it and of what it started from."""
    facts = _facts((*made.preprocessed, made.reconstruction), store)
    if not facts:
        return {}
    took = {
        "reconstruct_s": sum(fact["seconds"] for fact in facts),
        "peak_memory_mb": max(fact["peak_memory_bytes"] for fact in facts) / 1e6,
    }
    if made.first is not None:
        before = _took(made.first, store)
        took["reconstruct_s"] += before.get("reconstruct_s", 0.0)
        took["peak_memory_mb"] = max(took["peak_memory_mb"], before.get("peak_memory_mb", 0.0))
    return took


def _remarks(made: Flow, store: Store) -> str:
    """What the steps before a reconstruction want a user to know."""
    texts = [store.read(step.key, f"{EXTRAS}/zarr.json") for step in made.preprocessed]
    remarks = [json.loads(text)["attributes"]["about"]["remark"] for text in texts if text is not None]
    return "; ".join(remark for remark in remarks if remark)


def _facts(stages: Sequence[Stage], store: Store) -> list[dict[str, Any]]:
    """Return what steps and reconstruction wrote about themselves, of those that are in the store."""
    texts = [store.read(stage.key, FACTS) for stage in stages]
    return [json.loads(text) for text in texts if text is not None]
