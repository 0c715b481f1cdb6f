"""Running all cells of a scenario through Dask, each in a process of its own, and writing down how each one ended."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchsuite.errors import EXIT_CELLS_FAILED, EXIT_INTERRUPTED, EXIT_OK, StoreError
from benchsuite.results import PREPARED
from benchsuite.runner import supervise
from benchsuite.runner.checkpoints import LAST_GOOD, last_good_key
from benchsuite.runner.folder import RunFolder
from benchsuite.runner.measures import with_metrics
from benchsuite.runner.plan import check_memory, check_specimens, default_workers, memory_limit_bytes, plan
from benchsuite.runner.stages import Flow, ImageStage, Stage, flow
from benchsuite.runner.stages.preparation import PreparedTiltStage
from benchsuite.runner.stages.reconstruction import FACTS
from benchsuite.runner.stages.scores import VALUES
from benchsuite.runner.task import Task
from benchsuite.scenario import Cell, Loaded
from benchsuite.storage import load_prepared
from benchsuite.store import Store

Listen = Callable[[Mapping[str, Any]], None]
_listener: Listen = lambda event: None  # noqa: E731  the progress display of this process


@dataclass(frozen=True)
class Settings:
    """How to run: outside every content key."""

    out: Path
    store: Path
    workers: int | None = None
    device: str = "cpu"
    plugins: tuple[str, ...] = ()


def run(loaded: Loaded, settings: Settings, listen: Listen = lambda event: None) -> int:
    """Run (or continue) every cell and return the exit status: 0, 3 where a cell failed, 130 where interrupted.

    Raises BenchsuiteError before anything runs where the memory cannot suffice or the folders cannot be written.
    """
    global _listener
    _listener = listen
    store = Store(settings.store)
    workers = settings.workers or default_workers()
    folder = RunFolder(settings.out, loaded, store)
    with folder.locked():
        check_specimens(loaded)
        check_memory(plan(loaded, store, settings.device), workers)
        folder.begin()
        store.sweep_temporaries()
        supervise.allow_starts()
        statuses = _run_cells(loaded, settings, store, workers, folder)
    if "interrupted" in statuses:
        return EXIT_INTERRUPTED
    return EXIT_OK if set(statuses) <= {"ok", "skipped"} else EXIT_CELLS_FAILED


def _run_cells(loaded: Loaded, settings: Settings, store: Store, workers: int, folder: RunFolder) -> list[str]:
    from distributed import Client, LocalCluster, as_completed

    logging.getLogger("distributed").setLevel(logging.ERROR)
    statuses: dict[str, str] = {}
    threads = max(1, default_workers() // workers)
    local = {"n_workers": 1, "threads_per_worker": workers, "processes": False, "memory_limit": 0, "silence_logs": logging.ERROR}
    with (
        LocalCluster(**local, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        futures = _submit(client, loaded.cells, settings, store, workers, threads)
        cells = {future.key: cell for cell, future in futures}
        try:
            for future, result in as_completed([future for _, future in futures], with_results=True):
                cell = cells[future.key]
                statuses[cell.id] = _write_down(cell, result, settings, store, folder)
        except KeyboardInterrupt:
            supervise.stop_all()
        except StoreError:
            supervise.stop_all()
            raise
        finally:
            supervise.stop_all()
            client.cancel([future for _, future in futures])
    for cell in loaded.cells:
        if cell.id not in statuses:
            outcome = {"status": "interrupted", "reason": "the run was stopped; the same command continues it"}
            statuses[cell.id] = _write_down(cell, outcome, settings, store, folder)
    return list(statuses.values())


def _submit(
    client: Any, cells: Sequence[Cell], settings: Settings, store: Store, workers: int, threads: int
) -> list[tuple[Cell, Any]]:
    """Submit phantom, image, series and cell tasks; what several cells share is submitted once."""
    shared: dict[str, Any] = {}

    def submit(task: Task, after: Sequence[Any], name: str) -> Any:
        if name not in shared:
            limits = task.cell.experiment.limits
            shared[name] = client.submit(
                execute,
                task.to_json(),
                list(after),
                time_s=limits.time_s,
                memory_bytes=memory_limit_bytes(task.cell),
                threads=threads,
                key=name,
                pure=False,
                retries=2,
            )
        return shared[name]

    def task(kind: str, cell: Cell, tilts: tuple[int, ...] = (), step: int = 0) -> Task:
        return Task(kind, cell, str(store.root), settings.device, tilts, settings.plugins, step)

    def data(cell: Cell, made: Flow) -> list[Any]:
        if made.prepared and store.has(made.prepared[-1].key) and store.has(made.series.key):
            return []
        before = recorded(cell, made)
        for number, step in enumerate(made.prepared):
            if store.has(step.key):
                continue
            tilts = [
                submit(task("prepared_tilts", cell, share, number), before, f"prepared {share} {step.key}")
                for share in _shares(step.tilts(), store, workers)
            ]
            before = [submit(task("prepared", cell, step=number), tilts or before, f"prepared {step.key}")]
        return before

    def recorded(cell: Cell, made: Flow) -> list[Any]:
        if store.has(made.series.key):
            return []
        if made.phantom is None or not made.images:  # one's own
            return [submit(task("series", cell), [], f"series {made.series.key}")]
        phantom = submit(task("phantom", cell), [], f"phantom {made.phantom.key}")
        images = [
            submit(task("images", cell, tilts), [phantom], f"images {tilts} {made.images[tilts[0]].key}")
            for tilts in _shares(made.series.upstream(), store, workers)
        ]
        return [submit(task("series", cell), images, f"series {made.series.key}")]

    scored: dict[str, Any] = {}  # by the key of the scores: what is refined is often a cell of its own

    def all_before(cell: Cell, made: Flow) -> list[Any]:
        before = data(cell, made)
        if cell.first is not None and made.first is not None:
            first, key = made.first, str(made.first.scores.key)
            if key not in scored:
                scored[key] = submit(task("atoms", cell.first), all_before(cell.first, first), f"atoms {first.atoms.key}")
            before.append(scored[key])
        return before

    futures = []
    flows = [flow(cell, settings.device) for cell in cells]
    refined = {str(made.first.scores.key) for made in flows if made.first is not None}
    for cell, made in zip(cells, flows, strict=True):
        before, key = all_before(cell, made), str(made.scores.key)
        if made.metrics and key in refined:  # a metric that fails costs its own cell, not those that refine its atoms
            scored[key] = submit(task("atoms", cell), before, f"atoms {made.atoms.key}")
            before = [scored[key]]
        future = submit(task("scores", cell), before, f"cell {cell.id}")
        scored.setdefault(key, future)
        futures.append((cell, future))
    return futures


def _shares(tilts: Sequence[ImageStage] | Sequence[PreparedTiltStage], store: Store, workers: int) -> list[tuple[int, ...]]:
    """Deal the tilts that are not in the store to the workers."""
    missing = [one.tilt for one in tilts if not store.has(one.key)]
    return [share for first in range(workers) if (share := tuple(missing[first::workers]))]


def execute(
    request: Mapping[str, Any], upstream: Sequence[Mapping[str, Any]], *, time_s: float, memory_bytes: float, threads: int
) -> dict[str, Any]:
    """Run one task (called by a Dask worker). Where something upstream failed, its reason is passed on instead."""
    for earlier in upstream:
        if earlier["status"] != "ok":
            return {**earlier, "reason": _whose(earlier, request)}
    what = {"kind": request["kind"], "cell": request["cell"]["id"], "label": request["cell"]["reconstructor"]["label"]}
    what["part"] = str(request["tilts"][0]) if request["tilts"] else ""

    def listen(event: Mapping[str, Any]) -> None:
        _listener({**event, **what})

    listen({"event": "begin", "share": request["tilts"]})
    outcome = supervise.supervise(request, time_s=time_s, memory_bytes=memory_bytes, threads=threads, listen=listen)
    listen({"event": "done", "status": outcome.status})
    return {**outcome.to_json(), "kind": request["kind"], "label": what["label"]}


def _whose(earlier: Mapping[str, Any], request: Mapping[str, Any]) -> str:
    """The reason of a task upstream, with the name of its reconstructor where it is another one's."""
    own = request["cell"]["reconstructor"]["label"]
    if earlier.get("kind") in ("atoms", "scores") and earlier["label"] != own:
        return f"{earlier['label']}, whose atoms are refined: {earlier['reason']}"
    return str(earlier["reason"])


def _write_down(cell: Cell, outcome: Mapping[str, Any], settings: Settings, store: Store, folder: RunFolder) -> str:
    made = flow(cell, settings.device)
    stages: dict[str, Stage] = {stage.name: stage for stage in (made.series, made.reconstruction, made.atoms, made.scores)}
    stages |= {f"{PREPARED}{number}": step for number, step in enumerate(made.prepared)}
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
    scores = store.open(made.scores.key) if outcome["status"] == "ok" else None
    if outcome["status"] == "ok" and scores is None:
        row |= {"status": "error", "reason": "the stored scores are gone or damaged; run the same command again"}
    if scores is not None:
        scored = json.loads((scores / VALUES).read_text(encoding="utf-8"))
        row |= scored["values"]
        row |= _took(made, store)
        row["reason"] = "; ".join(part for part in (_remarks(made, store), *scored["remarks"]) if part)
        row, measures = with_metrics(row, made.metrics, store)
    elif outcome.get("peak_memory_bytes"):
        row["peak_memory_mb"] = outcome["peak_memory_bytes"] / 1e6
    folder.finish_cell(cell, row, keys, outcome.get("log", ""), measures)
    _listener({"event": "cell", **{key: row[key] for key in ("cell", "status", "reason", "reconstructor")}, "row": row})
    return str(row["status"])


def _took(made: Flow, store: Store) -> dict[str, float]:
    """Return time and memory of a reconstruction, with those of the steps before it and of what it started from."""
    facts = _facts((*made.prepared, made.reconstruction), store)
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
    folders = [store.open(step.key) for step in made.prepared]
    remarks = [load_prepared(folder).remark for folder in folders if folder is not None]
    return "; ".join(remark for remark in remarks if remark)


def _facts(stages: Sequence[Stage], store: Store) -> list[dict[str, Any]]:
    """Return what steps and reconstruction wrote about themselves, of those that are in the store."""
    folders = [store.open(stage.key) for stage in stages]
    return [json.loads((folder / FACTS).read_text(encoding="utf-8")) for folder in folders if folder is not None]
