"""What a run will do, and what it will take, before it does it."""

from __future__ import annotations

import functools
import itertools
import os
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import psutil
from ase import Atoms

from benchsuite import code_version, microscope, registry, seeds
from benchsuite.errors import BenchsuiteError
from benchsuite.runner.graph import CellGraph, graphs_of, topological
from benchsuite.runner.stages.base import Stage
from benchsuite.scenario import Cell, Experiment, Loaded
from benchsuite.store import Key, Store

BASE_BYTES = 3e8  # an idle worker process with its imports


@dataclass(frozen=True)
class CellPlan:
    """What a cell will take; of stages that cells share, the first. `why` it runs; empty: its results are stored."""

    graph: CellGraph
    why: str
    seconds: float
    peak_bytes: float

    @property
    def cell(self) -> Cell:
        return self.graph.cell

    @property
    def cached(self) -> bool:
        return not self.why


def plan(loaded: Loaded, store: Store, device: str = "cpu") -> list[CellPlan]:
    """Return the plan of every cell. Seconds count a shared stage once, where it is first needed."""
    code_version.look_again()
    planned, predicted = list[CellPlan](), set[Key]()
    stored = functools.cache(lambda stage: store.has(stage.key))
    for graph in graphs_of(loaded.cells, device):
        missing = topological(graph.goals, stored)
        costs = {stage.key: stage.cost() for stage in missing}
        seconds = sum(cost.seconds for key, cost in costs.items() if key not in predicted)
        peak_bytes = BASE_BYTES + max((cost.bytes for cost in costs.values()), default=0.0)
        predicted.update(costs)
        planned.append(CellPlan(graph, _why(missing[0], store) if missing else "", seconds, peak_bytes))
    return planned


def _why(stage: Stage, store: Store) -> str:
    other = store.other_code(stage.key)
    if other is None:
        return f"{stage.name}: new"
    now = stage.code()
    changed = sorted(name for name in {*now, *other} if now.get(name) != other.get(name))
    return f"{stage.name}: code changed ({', '.join(changed[:3])}{', …' if len(changed) > 3 else ''})"


def _chain(cell: Cell) -> Iterator[Cell]:
    yield cell
    if cell.initial is not None:
        yield from _chain(cell.initial)


def check_specimens(loaded: Loaded) -> None:
    """Build every phantom and raise BenchsuiteError where that fails, where an element has no thermal motion, and, with the
    numbers, where a tilted specimen does not fit its box.
    """
    checked: set[str] = set()
    for cell in itertools.chain.from_iterable(map(_chain, loaded.cells)):
        e = cell.experiment
        if e.measured is not None:
            continue
        specimen = (
            f"{e.phantom}/{e.seed}/{e.specimen_repeat(cell.repeat)}/{e.acquisition}/{e.simulation.margin_A}/{e.simulation.depth_A}"
        )
        if specimen in checked:
            continue
        checked.add(specimen)
        rng = seeds.generator(e.seed, "phantom", e.specimen_repeat(cell.repeat))
        atoms = _built(e, rng)
        rotations = microscope.true_rotations(e.acquisition, e.seed, cell.repeat)
        microscope.check_specimen(atoms, rotations, e.simulation, e.acquisition)


def _built(experiment: Experiment, rng: np.random.Generator) -> Atoms:
    """Build the specimen. Raises BenchsuiteError with the line of the phantom's own code that failed."""
    try:
        return experiment.specimen.build(rng)
    except BenchsuiteError:
        raise
    except Exception as error:  # a plugin may raise anything
        kind = experiment.specimen.name
        own = str(registry.source_file(registry.phantom(kind)))
        lines = [
            f"{frame.filename}:{frame.lineno}: " for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own
        ]
        place = lines[-1] if lines else ""
        raise BenchsuiteError(f"{place}phantom {kind}: {type(error).__name__}: {error}") from error


def check_memory(plans: Sequence[CellPlan], workers: int) -> None:
    """Raise BenchsuiteError, with the numbers, where the largest cells that may run at once cannot fit in memory."""
    todo = sorted((item for item in plans if not item.cached), key=lambda item: -item.peak_bytes)
    if not todo:
        return
    limit = memory_limit_bytes(todo[0].cell)
    if todo[0].peak_bytes > limit:
        raise BenchsuiteError(
            f"cell {todo[0].cell.id} needs about {todo[0].peak_bytes / 1e9:.1f} GB, the limit is "
            f"{limit / 1e9:.1f} GB; choose a smaller scale or grid, or raise limits.memory_GB"
        )
    together = sum(item.peak_bytes for item in todo[:workers])
    if together > limit:
        raise BenchsuiteError(
            f"{workers} workers may need {together / 1e9:.1f} GB at once, the limit is {limit / 1e9:.1f} GB; use --workers "
            f"{max(1, int(limit // todo[0].peak_bytes))}"
        )


def memory_limit_bytes(cell: Cell) -> float:
    """Return the bytes that a cell may use: limits.memory_GB, or what the machine has free."""
    given = cell.experiment.limits.memory_GB
    return given * 1e9 if given else float(psutil.virtual_memory().available)


def default_workers() -> int:
    """Return one worker per core that this process may use."""
    return len(os.sched_getaffinity(0))
