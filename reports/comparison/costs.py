"""Time and memory of the two sides, as ratios: only of one machine, and without a verdict.

Two runs are done one after the other. What else the machine did meanwhile changes all times of a run together, so that no number of
cells tells a slower method from a busier machine; and a first run compiles. `benchsuite timings` alternates the two instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchsuite.columns import Column
from benchsuite.reports.comparison.pairs import Group
from benchsuite.reports.comparison.side import Side
from benchsuite.results import COSTS


@dataclass(frozen=True)
class Ratio:
    """candidate / base of one method over its cells: median, smallest and largest."""

    method: str
    column: Column
    median: float
    smallest: float
    largest: float
    cells: int


def other_machine(base: Side, candidate: Side) -> str:
    """Return which facts about the machine differ, or are unknown; empty where times may be compared."""
    if not base.machine or not candidate.machine:
        return "the machine of one side is not recorded"
    keys = sorted({*base.machine, *candidate.machine})
    different = [key for key in keys if base.machine.get(key) != candidate.machine.get(key)]
    return f"another machine: {', '.join(different)}" if different else ""


def ratios(groups: Sequence[Group]) -> list[Ratio]:
    """Return the ratios of time and memory per method, over all comparable cells that both have a result of."""
    found: dict[tuple[str, Column], list[float]] = {}
    for group in groups:
        for pair in group.pairs:
            base, candidate = pair.base, pair.candidate
            if base is None or candidate is None or pair.different or base.device != candidate.device:
                continue
            for column in COSTS:
                metric = column.name
                if base.status == candidate.status == "ok" and base.scores.get(metric, 0) > 0 and metric in candidate.scores:
                    found.setdefault((group.method, column), []).append(candidate.scores[metric] / base.scores[metric])
    return [Ratio(*key, float(np.median(all_)), min(all_), max(all_), len(all_)) for key, all_ in found.items()]
