"""Tasks: what one worker process makes of the stages of a cell, and in which order tasks follow one another."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchsuite import registry
from benchsuite.errors import BenchsuiteError
from benchsuite.runner.graph import CellGraph, graph_of, topological
from benchsuite.runner.stages.base import Stage, ensure
from benchsuite.scenario import Cell
from benchsuite.scenario.metrics import default_metrics, metrics_asked_for
from benchsuite.store import Key, Store


@dataclass(frozen=True)
class Task:
    """Stages of one cell that one worker process makes. The fields are plain: whoever passes a task on need not know its plugins.

    title: for the progress display. label: of the reconstructor whose answer it makes; empty: it makes what several cells share.
    cell: as JSON. stages: the keys of the stages to make. classes: kind and name of the registered classes that it needs.
    """

    title: str
    label: str
    cell: str
    stages: tuple[str, ...]
    store: str
    device: str = "cpu"
    plugins: tuple[str, ...] = ()
    classes: tuple[tuple[str, str], ...] = ()
    simulates: bool = False

    def work(self, notify: Callable[..., None]) -> None:
        """Make every stage that is not in the store yet, in this process. Raises BenchsuiteError where the code is another one."""
        for plugin in self.plugins:
            registry.load_plugin(plugin)
        wanted = list(self.stages)
        store, verified = Store(self.store), dict[Key, Path]()
        for stage in graph_of(Cell.model_validate_json(self.cell), self.device).stages():
            if wanted and str(stage.key) in wanted:
                wanted.remove(str(stage.key))
                ensure(store, stage, notify, verified)
        if wanted:
            raise BenchsuiteError(
                "code or files have changed since the run began; the same command continues with what they are now"
            )


def task_of(
    cell: Cell,
    stages: Sequence[Stage],
    store: Store,
    device: str = "cpu",
    plugins: Sequence[str] = (),
    *,
    label: str = "",
    part: str = "",
) -> Task:
    """Return the task that makes some stages of a cell; `label` as in Task, `part` tells shares of the same work apart."""
    e, spec = cell.experiment, cell.reconstructor
    simulators = [("simulator", e.engine)] if any(stage.simulates for stage in stages) else []
    phantoms = [("phantom", e.phantom.name)] if e.phantom is not None else []
    readers = [("reader", name) for name in e.measured.readers] if e.measured is not None else []
    steps = [("preprocessing", step.name) for step in spec.preprocess]
    metrics = [("metric", metric.name) for metric in (*default_metrics(e.analysis), *metrics_asked_for(e.analysis))]
    return Task(
        title=f"{stages[0].name} {cell.id} {label or part}".strip(),
        label=label,
        cell=cell.model_dump_json(),
        stages=tuple(str(stage.key) for stage in stages),
        store=str(store.root),
        device=device,
        plugins=tuple(plugins),
        classes=(*simulators, *phantoms, *readers, ("reconstructor", spec.name), *steps, *metrics),
        simulates=bool(simulators),
    )


@dataclass(frozen=True)
class Planned:
    """A task of a cell, and the places in the list of those that it waits for. `goal`: with it the cell of that graph is done."""

    task: Task
    cell: Cell
    after: tuple[int, ...]
    goal: CellGraph | None


def planned_tasks(
    graphs: Sequence[CellGraph], store: Store, workers: int, device: str = "cpu", plugins: Sequence[str] = ()
) -> list[Planned]:
    """Return the tasks that make what cells lack, each behind those that it waits for.

    What several cells share is made by one task, and so are atoms that others refine: a metric that fails costs its own cell only.
    Tilts are dealt to the workers in shares; everything else of a cell is made by its last task.
    """
    tasks: list[Planned] = []
    maker: dict[Key, int] = {}
    stored = functools.cache(lambda stage: store.has(stage.key))

    def add(graph: CellGraph, stages: Sequence[Stage], goal: CellGraph | None = None, **naming: str) -> None:
        task = task_of(graph.cell, stages, store, device, plugins, **naming)
        tasks.append(Planned(task, graph.cell, _makers(stages, maker, stored), goal))
        maker.update({stage.key: len(tasks) - 1 for stage in stages if goal is None})

    def add_shared(graph: CellGraph, goals: Sequence[Stage]) -> None:
        if graph.initial is not None:
            add_shared(graph.initial, [graph.initial.atoms])
        for stage in topological(goals, stored):
            if stage.key in maker or stage.per_tilt:
                continue
            refined = stage.key in initial_atoms
            if stage.shared or refined:
                tilts = [one for one in stage.upstream() if one.per_tilt and one.key not in maker and not stored(one)]
                for first in range(min(workers, len(tilts))):
                    add(graph, tilts[first::workers], part=f"{first + 1}/{min(workers, len(tilts))}")
                add(graph, [stage], label=graph.cell.reconstructor.label if refined else "")

    initial_atoms = {initial.atoms.key for graph in graphs for initial in _initials(graph)}
    for graph in graphs:
        add_shared(graph, graph.goals)
        add(graph, graph.goals, graph, label=graph.cell.reconstructor.label)
    return tasks


def _initials(graph: CellGraph) -> Iterator[CellGraph]:
    while graph.initial is not None:
        graph = graph.initial
        yield graph


def _makers(stages: Sequence[Stage], maker: dict[Key, int], stored: Callable[[Stage], bool]) -> tuple[int, ...]:
    """Return the tasks that make what these stages need and the store lacks."""
    found: dict[int, None] = {}
    remaining, visited = list(stages), set[Stage]()
    while remaining:
        for source in remaining.pop().upstream():
            if source.key in maker:
                found[maker[source.key]] = None
            elif source not in visited and not stored(source):
                visited.add(source)
                remaining.append(source)
    return tuple(found)
