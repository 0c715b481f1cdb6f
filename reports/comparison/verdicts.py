"""Verdicts: per cell, metric and condition over the repeats, and pooled per method and metric over all conditions.

A metric has regressed where the mean harm is larger than its margin, the one-sided 99% bound of the harm lies above zero, and it
stays significant when corrected over all tests of its family (Benjamini-Hochberg): cells and pooled, headline metrics and others.
Tests whose differences are all exactly zero belong to no family: nothing can come of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from benchsuite.columns import Column
from benchsuite.reports.comparison.pairs import Group, Pair
from benchsuite.reports.comparison.side import CellFacts
from benchsuite.reports.statistics import FEWEST_PAIRS, Paired, benjamini_hochberg, paired


class Verdict(StrEnum):
    """In order of importance."""

    NEW_FAILURE = "new failure"  # the base has a result, the candidate none
    MISSING = "missing"  # a cell or score of the base that the candidate does not have
    REGRESSED = "regressed"
    NOT_COMPARABLE = "not comparable"
    INCONCLUSIVE = "inconclusive"
    NO_RESULT = "no result in both"
    IMPROVED = "improved"
    FIXED = "fixed"  # the base has no result, the candidate one
    NEW = "new"  # a cell that the base does not have
    UNCHANGED = "unchanged"  # the whole interval lies inside the margin


FAIL = (Verdict.NEW_FAILURE, Verdict.MISSING, Verdict.REGRESSED)
JUDGED = (*FAIL, Verdict.INCONCLUSIVE, Verdict.IMPROVED, Verdict.FIXED, Verdict.UNCHANGED)
ALL_CONDITIONS = "all conditions"


@dataclass(frozen=True)
class Finding:
    """One verdict. column: of the score; None where it is about whole cells. swept: None where it is pooled over all conditions.

    base, candidate: means over the repeats, in the metric's unit; None where pooled. effect: the harm, in the metric's unit; in
    margins where pooled. adjusted_p: of harm or gain, whichever the mean says, after the correction; None where nothing was tested.
    """

    verdict: Verdict
    method: str
    swept: Mapping[str, Any] | None
    column: Column | None = None
    base: float | None = None
    candidate: float | None = None
    effect: Paired | None = None
    adjusted_p: float | None = None
    reason: str = ""

    @property
    def metric(self) -> str:
        """The name of the score; empty where the verdict is about whole cells."""
        return "" if self.column is None else self.column.name


def of_cells(groups: Sequence[Group]) -> list[Finding]:
    """Return what is to be said about whole cells: failures, missing and new ones, and those that cannot be compared."""
    found = []
    for group in groups:
        repeats_by_verdict: dict[tuple[Verdict, str], list[int]] = {}
        for pair in group.pairs:
            verdict, reason = _of_pair(pair)
            if verdict is not None:
                repeats_by_verdict.setdefault((verdict, reason), []).append(pair.one.repeat)
        for (verdict, reason), repeats in repeats_by_verdict.items():
            which = "" if len(repeats) == len(group.pairs) == 1 else f"{_repeats(repeats)}: "
            found.append(Finding(verdict, group.method, group.swept, reason=f"{which}{reason}"))
    return found


def _of_pair(pair: Pair) -> tuple[Verdict | None, str]:
    base, candidate = pair.base, pair.candidate
    if base is None:
        return Verdict.NEW, "the base has no such cell"
    if candidate is None:
        return Verdict.MISSING, "the candidate has no such cell"
    if pair.different:
        return Verdict.NOT_COMPARABLE, pair.different
    if base.status == "ok" and candidate.status != "ok":
        return Verdict.NEW_FAILURE, f"{candidate.status}: {candidate.reason}"
    if base.status != "ok" and candidate.status == "ok":
        return Verdict.FIXED, f"was {base.status}: {base.reason}"
    if base.status != "ok":
        return Verdict.NO_RESULT, f"{candidate.status}: {candidate.reason}"
    return None, ""


def _repeats(numbers: Sequence[int]) -> str:
    return f"repeat{'s' if len(numbers) > 1 else ''} {', '.join(map(str, sorted(numbers)))}"


@dataclass(frozen=True)
class Samples:
    """The values of one metric of the comparable repeats of a group, in harm: larger is worse. margin: in the metric's unit."""

    group: Group
    column: Column
    repeats: tuple[int, ...]
    sides: tuple[np.ndarray, np.ndarray]  # of the base, of the candidate
    margin: float

    def at(self, repeats: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the values of these repeats."""
        places = [self.repeats.index(repeat) for repeat in repeats]
        return self.sides[0][places], self.sides[1][places]


def samples(groups: Iterable[Group], columns: Sequence[Column]) -> tuple[list[Samples], list[Finding]]:
    """Return what can be tested, and the scores that the base has and the candidate lacks."""
    found, missing = [], []
    for group in groups:
        both = independent(group.pairs)
        for column in columns:
            metric = column.name
            have = [(base, candidate) for base, candidate in both if metric in base.scores]
            gone = [candidate.repeat for _, candidate in have if metric not in candidate.scores]
            if gone:
                reason = f"{_repeats(gone)}: the candidate has no such score"
                missing.append(Finding(Verdict.MISSING, group.method, group.swept, column, reason=reason))
            elif have:
                found.append(_sampled(group, column, have))
    return found, missing


def _sampled(group: Group, column: Column, pairs: Sequence[tuple[CellFacts, CellFacts]]) -> Samples:
    base, candidate = (np.array([pair[side].scores[column.name] for pair in pairs]) for side in (0, 1))
    counts = [one.scores[column.margin.one_of] for one, _ in pairs if column.margin.one_of in one.scores]
    margin = column.margin.about(float(base.mean()), min(counts, default=None))
    repeats = tuple(one.repeat for one, _ in pairs)
    return Samples(group, column, repeats, (column.sign * base, column.sign * candidate), margin)


def independent(pairs: Iterable[Pair]) -> list[tuple[CellFacts, CellFacts]]:
    """Return the comparable pairs with a result on both sides; of repeats that share a series (there is no noise), the first."""
    found: dict[Any, tuple[CellFacts, CellFacts]] = {}
    for pair in pairs:
        base, candidate = pair.base, pair.candidate
        if base and candidate and not pair.different and base.status == candidate.status == "ok":
            found.setdefault((base.series, candidate.series) if base.series else base.repeat, (base, candidate))
    return list(found.values())


def tested(every: Sequence[Samples], confidence: float) -> list[Finding]:
    """Return the verdict per method, condition and metric, by the paired test over the repeats."""
    findings = []
    for one in every:
        effect = paired(*one.sides, margin=one.margin, confidence=confidence)
        findings.append(_finding(one, effect))
    return _corrected(findings, confidence)


def by_margin(every: Sequence[Samples], confidence: float) -> list[Finding]:
    """Return the verdict by the mean harm and the margin alone: for tables of numbers that are always the same."""
    findings = []
    for one in every:
        effect = paired(*one.sides, margin=one.margin, confidence=confidence)
        verdict = Verdict.UNCHANGED
        if abs(effect.mean) > effect.margin:
            verdict = Verdict.REGRESSED if effect.mean > 0 else Verdict.IMPROVED
        findings.append(replace(_finding(one, effect), verdict=verdict))
    return findings


def pooled(every: Sequence[Samples], confidence: float) -> list[Finding]:
    """Return the verdict per method and metric over all conditions, of those with at least two; harm is in margins.

    The noise of a repeat is drawn from one seed in all conditions. So the unit is the repeat, averaged over all conditions with
    at least five of their own; where there are no five, every pair counts as one of its own.
    """
    together: dict[tuple[str, Column], list[Samples]] = {}
    for one in every:
        together.setdefault((one.group.method, one.column), []).append(one)
    findings = []
    for (method, column), parts in together.items():
        if len(parts) > 1:
            (base, candidate), units = _units(parts)
            effect = paired(base, candidate, margin=1.0, confidence=confidence)
            findings.append(Finding(Verdict.INCONCLUSIVE, method, None, column, effect=effect, reason=units))
    return _corrected(findings, confidence)


def _units(parts: Sequence[Samples]) -> tuple[tuple[np.ndarray, np.ndarray], str]:
    """Return (base, candidate) in margins, means over conditions by repeat, or all pairs; and which of the two, in words."""
    repeated = [part for part in parts if len(part.repeats) >= FEWEST_PAIRS]
    common = sorted(set.intersection(*(set(part.repeats) for part in repeated))) if repeated else []
    if len(common) < FEWEST_PAIRS:
        return _both(lambda side: np.concatenate([part.sides[side] / part.margin for part in parts])), f"{len(parts)} conditions"
    means = _both(lambda side: np.mean([part.at(common)[side] / part.margin for part in repeated], axis=0))
    return means, f"mean of {len(repeated)} conditions in each repeat"


def _both(of: Callable[[int], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return of(0), of(1)


def _finding(one: Samples, effect: Paired) -> Finding:
    base, candidate = (one.column.sign * float(side.mean()) for side in one.sides)
    return Finding(Verdict.INCONCLUSIVE, one.group.method, one.group.swept, one.column, base, candidate, effect)


def _corrected(findings: Sequence[Finding], confidence: float) -> list[Finding]:
    """Decide every finding after correcting the p values of its family: headline metrics, or the others."""
    decided: dict[int, Finding] = {}
    for headline in (True, False):
        family = [i for i, one in enumerate(findings) if _is_headline(one) == headline and _effect(one).how != "equal"]
        worse = benjamini_hochberg([_effect(findings[i]).tail_worse for i in family])
        better = benjamini_hochberg([_effect(findings[i]).tail_better for i in family])
        decided |= {i: _decided(findings[i], p, q, confidence) for i, p, q in zip(family, worse, better, strict=True)}
    unchanged = [replace(one, verdict=Verdict.UNCHANGED) for one in findings]
    return [decided.get(i, unchanged[i]) for i in range(len(findings))]


def _is_headline(one: Finding) -> bool:
    return one.column is not None and one.column.role == "headline"


def _decided(one: Finding, worse: float, better: float, confidence: float) -> Finding:
    effect, rare = _effect(one), 1 - confidence
    adjusted, alone = (worse, effect.worse) if effect.mean > 0 else (better, effect.better)
    if alone and adjusted <= rare:
        verdict, why = (Verdict.REGRESSED if effect.mean > 0 else Verdict.IMPROVED), ""
    elif effect.within:
        verdict, why = Verdict.UNCHANGED, ""
    else:
        verdict, why = Verdict.INCONCLUSIVE, "beyond the margin, but not after the correction over all tests" if alone else ""
    return replace(one, verdict=verdict, adjusted_p=float(adjusted), reason="; ".join(filter(None, (one.reason, why))))


def _effect(one: Finding) -> Paired:
    assert one.effect is not None
    return one.effect
