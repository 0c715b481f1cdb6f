"""Pairing two sides cell by cell: the same method, swept values, repeat and seed, on the same bytes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from benchsuite.errors import BenchsuiteError, choices
from benchsuite.reports.comparison.side import CellFacts, Side

Same = Literal["bytes", "experiment"]


@dataclass(frozen=True)
class Pair:
    """The same cell on both sides; None where a side has none. different: why the two are not comparable, or empty."""

    base: CellFacts | None
    candidate: CellFacts | None
    different: str = ""

    @property
    def one(self) -> CellFacts:
        """Whichever there is, the base first."""
        found = self.base or self.candidate
        assert found is not None
        return found


@dataclass(frozen=True)
class Group:
    """The pairs of one method under one condition: its repeats."""

    method: str
    swept: dict[str, Any]
    pairs: tuple[Pair, ...]


def grouped(base: Side, candidate: Side, same: str = "bytes", methods: Collection[str] = ()) -> list[Group]:
    """Return the groups of both sides, those of the base first and in its order.

    methods: compare these labels only. Raises BenchsuiteError where a label is on neither side, or a cell is there twice.
    """
    _check_methods(base, candidate, methods)
    ours, theirs = _by_identity(base), _by_identity(candidate)
    found: dict[tuple[str, str], list[Pair]] = {}
    for identity in dict.fromkeys([*ours, *theirs]):
        one, other = ours.get(identity), theirs.get(identity)
        if not methods or identity[0] in methods:
            different = difference(one, other, same) if one and other else ""
            found.setdefault(identity[:2], []).append(Pair(one, other, different))
    return [Group(pairs[0].one.method, dict(pairs[0].one.swept), tuple(pairs)) for pairs in found.values()]


def difference(one: CellFacts, other: CellFacts, same: str) -> str:
    """Return why two cells with one name are not of the same data, or an empty text."""
    if one.seed != other.seed:
        return f"seed {one.seed} against {other.seed}"
    if same == "experiment":
        return "" if one.experiment == other.experiment else "settings of the experiment differ"
    if not one.series or not other.series:  # a cell that failed early has no series to compare by
        return "" if one.experiment == other.experiment else "settings of the experiment differ, and a side has no series"
    if one.series == other.series or (one.content and one.content == other.content):
        return ""
    return "the series is another one (other settings, or simulated by other code)"


def _by_identity(side: Side) -> dict[tuple[str, str, int], CellFacts]:
    cells: dict[tuple[str, str, int], CellFacts] = {}
    for cell in side.cells:
        if cell.identity in cells:
            raise BenchsuiteError(f"{side.name}: {cell.method} {cell.identity[1]} repeat {cell.repeat} is there twice")
        cells[cell.identity] = cell
    return cells


def _check_methods(base: Side, candidate: Side, methods: Collection[str]) -> None:
    labels = {cell.method for side in (base, candidate) for cell in side.cells}
    for name in methods:
        if name not in labels:
            raise BenchsuiteError(f"--only {name}: no cell of either side has this label; {choices(name, labels)}")
