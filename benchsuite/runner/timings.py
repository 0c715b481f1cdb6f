"""Which of two methods is faster: both in one process on the same stored series, in turn, after a warm-up of each.

Times of two runs made one after the other tell the machine's other work as much as the methods. In turn (A B, B A, A B, ...) what
changes slowly meets both alike, and the ratio within each round is what is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchsuite.errors import BenchsuiteError, choices
from benchsuite.reports.statistics import FEWEST_PAIRS, Paired, paired
from benchsuite.runner.graph import graph_of
from benchsuite.runner.loop import CellFailure, run_loop
from benchsuite.runner.stages.base import ensure, silent
from benchsuite.scenario import Cell
from benchsuite.storage import SERIES, load_series
from benchsuite.store import Store

MARGIN = 1.05  # a ratio that matters
ROUNDS = 9


@dataclass(frozen=True)
class Timed:
    """seconds: (rounds, 2), of base and candidate. effect: of the logarithm of the ratio; positive is slower."""

    seconds: np.ndarray
    effect: Paired

    @property
    def ratio(self) -> float:
        """Median of candidate / base."""
        return float(np.median(self.seconds[:, 1] / self.seconds[:, 0]))

    @property
    def bounds(self) -> tuple[float, float]:
        """The one-sided bounds of the mean ratio."""
        return float(np.exp(self.effect.low)), float(np.exp(self.effect.high))

    @property
    def verdict(self) -> str:
        """slower, faster, unchanged or inconclusive, by the rule of `compare` with a margin of 5%."""
        found = {"slower": self.effect.worse, "faster": self.effect.better, "unchanged": self.effect.within}
        return next((word for word, holds in found.items() if holds), "inconclusive")


def judged(seconds: np.ndarray) -> Timed:
    """Return the verdict on (rounds, 2) seconds."""
    base, candidate = np.log(seconds).T
    return Timed(seconds, paired(base, candidate, margin=float(np.log(MARGIN))))


def in_turn(base: Callable[[], float], candidate: Callable[[], float], rounds: int) -> np.ndarray:
    """Return (rounds, 2) seconds that the two functions return, called in turn, who begins changing, after one call each."""
    for warm_up in (base, candidate):
        warm_up()
    seconds = np.empty((rounds, 2))
    for number, row in enumerate(seconds):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            row[side] = (base, candidate)[side]()
    return seconds


def timings(cells: Sequence[Cell], base: str, candidate: str, store: Store, *, rounds: int = ROUNDS, device: str = "cpu") -> Timed:
    """Time the reconstructions of two labels on the first data that both are given; steps before them are made and not timed.

    Raises BenchsuiteError for fewer rounds than have a verdict, for unknown labels, and where the two are not given equal data.
    """
    if rounds < FEWEST_PAIRS:
        raise BenchsuiteError(f"--rounds {rounds}: at least {FEWEST_PAIRS}, since fewer have no spread to speak of")
    first = [_first(cells, label) for label in (base, candidate)]
    given = {str(graph_of(cell, device).reconstruction.source.key) for cell in first}
    if len(given) > 1:
        raise BenchsuiteError(f"{base} and {candidate} are not given the same series: their times are not comparable")
    functions = [_timed(cell, store, device) for cell in first]
    try:
        return judged(in_turn(functions[0], functions[1], rounds))
    except CellFailure as failure:
        raise BenchsuiteError(f"a reconstruction ended as {failure.status}: {failure.reason}") from failure


def _first(cells: Sequence[Cell], label: str) -> Cell:
    found = next((cell for cell in cells if cell.reconstructor.label == label), None)
    if found is None:
        raise BenchsuiteError(f"no reconstructor has the label {label!r}; {choices(label, {c.reconstructor.label for c in cells})}")
    return found


def _timed(cell: Cell, store: Store, device: str) -> Callable[[], float]:
    stage = graph_of(cell, device).reconstruction
    sources = [ensure(store, source) for source in stage.upstream()]
    series = load_series(sources[0] / SERIES)

    def once() -> float:
        return run_loop(stage.algorithm(), series, stage.context(sources), silent).seconds

    return once
