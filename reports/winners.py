"""Which method wins under each condition, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from benchsuite.reports.figures.pareto import accuracy
from benchsuite.reports.groups import Group, bound_of, condition_identity, groups
from benchsuite.reports.labels import condition, heading, number, plus_minus
from benchsuite.reports.pool import Pool
from benchsuite.reports.statistics import FEWEST_PAIRS, PRIOR_SPREAD, Direction, winner
from benchsuite.reports.summary import Table

CONFIDENCE = 0.95
Standing = Literal["best", "tie", "beaten", "failed", "absent"]


@dataclass(frozen=True)
class Entry:
    """A method under one condition: mean and spread of the score over its repeats, and how it stands."""

    standing: Standing
    mean: float
    spread: float
    n_ok: int
    n_total: int
    found_pct: float  # matched of the true atoms: a small error over few atoms is no win

    @property
    def text(self) -> str:
        if self.standing == "absent":
            return ""
        if self.n_ok == 0:
            return f"no result (0/{self.n_total})"
        return f"{plus_minus(self.mean, self.spread)} ({self.n_ok}/{self.n_total})"


@dataclass(frozen=True)
class Contest:
    """One condition: the entries by method, who wins, ties with the winner, and the confidence that it beats the next best."""

    condition: str
    entries: dict[str, Entry]
    best: str | None
    ties: tuple[str, ...]
    confidence: float
    repeats: int
    compared: int  # repeats that all competitors have
    bound: float = math.nan  # lower bound of the score, where the condition has one

    @property
    def verdict(self) -> str:
        """Who wins, in words, and over how many repeats where not over all."""
        if self.best is None:
            return "no repeat that could be compared"
        over = f" (over {self.compared} of {self.repeats} repeats)" if self.compared < self.repeats else ""
        if math.isnan(self.confidence):
            return f"{self.best} (no rival with as many results){over}"
        return f"tie: {', '.join((self.best, *self.ties))}{over}" if self.ties else f"{self.best}{over}"


@dataclass(frozen=True)
class Winners:
    """The contests of a pool by one metric, with the headings of its column and of that of its bound."""

    metric: str
    heading: str
    bound_heading: str
    smaller: bool
    methods: list[str]
    contests: list[Contest]

    @property
    def bounded(self) -> bool:
        """Whether any condition has a bound of what is compared."""
        return any(math.isfinite(contest.bound) for contest in self.contests)

    @property
    def note(self) -> str:
        """On what the confidence rests."""
        fewest = min((contest.compared for contest in self.contests if contest.best), default=0)
        one = "With one repeat per cell it rests on that assumption alone. " if fewest == 1 else ""
        few = (
            f"Below {FEWEST_PAIRS} repeats the confidence assumes that equally good results of different seeds are about "
            f"{100 * PRIOR_SPREAD:g}% apart. {one}"
            if fewest < FEWEST_PAIRS
            else ""
        )
        return (
            f"By {self.heading}: mean ± standard deviation (cells ok/planned). Confidence: that it beats the next best "
            f"over the same repeats, corrected for having been chosen. Below {100 * CONFIDENCE:g}% it is a tie. {few}"
            "Those methods compete that gave the most results, over the repeats that all of them have."
        )


def winners(pool: Pool) -> Winners:
    """Return the contest of every condition of a pool."""
    metric, smaller = accuracy(pool)
    found: dict[Any, list[Group]] = {}
    everything = groups(pool)
    for group in everything:
        found.setdefault(condition_identity(group.swept), []).append(group)
    names = list(dict.fromkeys(group.method for group in everything))
    bound = pool.columns.bound_of(metric)
    contests = [_contest(members, metric, smaller, names) for members in found.values()]
    bound_heading = heading(pool.columns, bound) if bound is not None else ""
    return Winners(metric, heading(pool.columns, metric), bound_heading, smaller, names, contests)


def _contest(members: Sequence[Group], metric: str, smaller: bool, names: Sequence[str]) -> Contest:
    repeats = sorted({int(r) for group in members for r in group.rows.get("repeat", [0]) if not _nan(r)}) or [0]
    samples = {group.method: np.array(_samples(group, metric, repeats)) for group in members}
    most = max(int(np.isfinite(values).sum()) for values in samples.values())
    competing = {name: values for name, values in samples.items() if np.isfinite(values).sum() == most}
    shared = np.all([np.isfinite(values) for values in competing.values()], axis=0)
    result = None
    if shared.any():
        direction: Direction = "lower" if smaller else "higher"
        result = winner({name: values[shared].tolist() for name, values in competing.items()}, direction, confidence=CONFIDENCE)
    by_method = {group.method: group for group in members}
    entries = {}
    for name in names:
        group = by_method.get(name)
        if group is None:
            entries[name] = Entry("absent", math.nan, math.nan, 0, 0, math.nan)
            continue
        mean, spread, count = group.stat(metric)
        standing: Standing = "beaten" if name in competing and result is not None else "failed"
        if result is not None:
            standing = "best" if name == result.name else "tie" if name in result.ties else standing
        true, matched = group.stat("n_true")[0], group.stat("n_matched")[0]
        entries[name] = Entry(standing, mean, spread, count, group.n_total, 100 * matched / true if true else math.nan)
    return Contest(
        condition(members[0].swept) or "the one condition",
        entries,
        result.name if result else None,
        result.ties if result else (),
        result.confidence if result else math.nan,
        len(repeats),
        int(shared.sum()),
        bound_of(members, metric),
    )


def _samples(group: Group, metric: str, repeats: Sequence[int]) -> list[float]:
    """One value per repeat, nan where there is none."""
    if metric not in group.ok or "repeat" not in group.ok:
        return [math.nan] * len(repeats)
    values = {int(r): float(v) for r, v in zip(group.ok["repeat"], group.ok[metric], strict=True) if not _nan(r)}
    return [values.get(repeat, math.nan) for repeat in repeats]


def _nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def winner_table(found: Winners, slug: str) -> Table:
    """Return the contests as a table of text: condition, verdict, confidence, atoms that the winner found, and every method."""
    rows = []
    for contest in found.contests:
        best = contest.entries[contest.best] if contest.best else None
        confidence = "—" if math.isnan(contest.confidence) else percent(contest.confidence)
        atoms = "—" if best is None or math.isnan(best.found_pct) else number(best.found_pct)
        bound = [number(contest.bound)] if found.bounded else []
        texts = [contest.entries[name].text for name in found.methods]
        rows.append([contest.condition, contest.verdict, confidence, atoms, *bound, *texts])
    columns = [
        "Condition",
        "Best",
        "Confidence (%)",
        "Atoms found by the best (%)",
        *([found.bound_heading] if found.bounded else []),
        *(f"{name}, {found.heading}" for name in found.methods),
    ]
    return Table(slug, "Best method under each condition", columns, rows, found.note)


def percent(confidence: float) -> str:
    """Return per cent with as many nines as tell them apart, never 100."""
    if confidence < 0.5:
        return "< 50"
    if confidence > 0.9999:
        return "> 99.99"
    return f"{100 * confidence:.2f}".rstrip("0").rstrip(".") if confidence > 0.99 else f"{100 * confidence:.0f}"
