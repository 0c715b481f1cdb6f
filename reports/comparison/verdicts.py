"""Verdicts: per cell, metric and condition over the repeats, and pooled per method and metric over all conditions.

A metric has regressed where the mean harm is larger than its margin, the one-sided 99% bound of the harm lies above zero, and it
stays significant when corrected over all tests of its family (Benjamini-Hochberg): cells and pooled, headline metrics and others. Tests
whose differences are all exactly zero belong to no family: nothing can come of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from reports.comparison.pairs import Group, Pair
from reports.comparison.rules import HEADLINE, Rule
from reports.statistics import FEWEST, Paired, benjamini_hochberg, paired


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
    """One verdict. metric: empty where it is about whole cells. swept: None where it is pooled over all conditions.

    base, candidate: means over the repeats, in the metric's unit; None where pooled. effect: the harm, in the metric's unit; in
    margins where pooled. adjusted_p: of harm or gain, whichever the mean says, after the correction; None where nothing was tested.
    """

    verdict: Verdict
    method: str
    swept: Mapping[str, Any] | None
    metric: str = ""
    base: float | None = None
    candidate: float | None = None
    effect: Paired | None = None
    adjusted_p: float | None = None
    reason: str = ""


def of_cells(groups: Sequence[Group]) -> list[Finding]:
    """Return what is to be said about whole cells: failures, missing and new ones, and those that cannot be compared."""
    found = []
    for group in groups:
        told: dict[tuple[Verdict, str], list[int]] = {}
        for pair in group.pairs:
            verdict, reason = _of_pair(pair)
            if verdict is not None:
                told.setdefault((verdict, reason), []).append(pair.one.repeat)
        for (verdict, reason), repeats in told.items():
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
    metric: str
    rule: Rule
    repeats: tuple[int, ...]
    base: np.ndarray
    candidate: np.ndarray
    margin: float


def samples(groups: Iterable[Group], rules: Mapping[str, Rule]) -> tuple[list[Samples], list[Finding]]:
    """Return what can be tested, and the scores that the base has and the candidate lacks."""
    found, missing = [], []
    for group in groups:
        comparable = [(p.base, p.candidate) for p in group.pairs if p.base and p.candidate and not p.different]
        both = [(base, candidate) for base, candidate in comparable if base.status == candidate.status == "ok"]
        for metric, rule in rules.items():
            have = [(base, candidate) for base, candidate in both if metric in base.scores]
            gone = [candidate.repeat for _, candidate in have if metric not in candidate.scores]
            if gone:
                reason = f"{_repeats(gone)}: the candidate has no such score"
                missing.append(Finding(Verdict.MISSING, group.method, group.swept, metric, reason=reason))
            elif have:
                values = np.array([(base.scores[metric], candidate.scores[metric]) for base, candidate in have])
                atoms = [base.scores["n_true"] for base, _ in have if "n_true" in base.scores]
                margin = rule.margin(float(values[:, 0].mean()), min(atoms, default=None))
                repeats = tuple(base.repeat for base, _ in have)
                found.append(Samples(group, metric, rule, repeats, *(rule.sign * values.T), margin))
    return found, missing


def tested(every: Sequence[Samples], confidence: float) -> list[Finding]:
    """Return the verdict per method, condition and metric, by the paired test over the repeats."""
    findings = []
    for one in every:
        effect = paired(one.base, one.candidate, margin=one.margin, confidence=confidence)
        findings.append(_finding(one, effect))
    return _corrected(findings, confidence)


def by_margin(every: Sequence[Samples], confidence: float) -> list[Finding]:
    """Return the verdict by the mean harm and the margin alone: for tables of numbers that are always the same."""
    findings = []
    for one in every:
        effect = paired(one.base, one.candidate, margin=one.margin, confidence=confidence)
        verdict = Verdict.UNCHANGED
        if abs(effect.mean) > effect.margin:
            verdict = Verdict.REGRESSED if effect.mean > 0 else Verdict.IMPROVED
        findings.append(replace(_finding(one, effect), verdict=verdict))
    return findings


def pooled(every: Sequence[Samples], confidence: float) -> list[Finding]:
    """Return the verdict per method and metric over all conditions, of those with at least two; harm is in margins.

    Noise of one repeat is drawn by one seed in all conditions, so the unit is the repeat, averaged over the conditions, where at least
    five repeats have all of them; with fewer, every pair counts as one of its own.
    """
    together: dict[tuple[str, str], list[Samples]] = {}
    for one in every:
        together.setdefault((one.group.method, one.metric), []).append(one)
    findings = []
    for (method, metric), parts in together.items():
        if len(parts) > 1:
            effect = paired(*_units(parts), margin=1.0, confidence=confidence)
            reason = f"{ALL_CONDITIONS} ({len(parts)})"
            findings.append(Finding(Verdict.INCONCLUSIVE, method, None, metric, effect=effect, reason=reason))
    return _corrected(findings, confidence)


def _units(parts: Sequence[Samples]) -> tuple[np.ndarray, np.ndarray]:
    """Return (base, candidate) in margins: means over conditions by repeat, or all pairs."""
    everywhere = set.intersection(*(set(part.repeats) for part in parts))
    scaled = [(part.repeats, part.base / part.margin, part.candidate / part.margin) for part in parts]
    if len(everywhere) < FEWEST:
        return np.concatenate([base for _, base, _ in scaled]), np.concatenate([candidate for _, _, candidate in scaled])
    rows = [
        [[values[repeats.index(repeat)] for repeat in sorted(everywhere)] for repeats, *sides in scaled for values in [sides[side]]]
        for side in (0, 1)
    ]
    return np.mean(rows[0], axis=0), np.mean(rows[1], axis=0)


def _finding(one: Samples, effect: Paired) -> Finding:
    base, candidate = one.rule.sign * float(one.base.mean()), one.rule.sign * float(one.candidate.mean())
    return Finding(Verdict.INCONCLUSIVE, one.group.method, one.group.swept, one.metric, base, candidate, effect)


def _corrected(findings: Sequence[Finding], confidence: float) -> list[Finding]:
    """Decide every finding after correcting the p values of its family: headline metrics, or the others."""
    decided = {}
    for headline in (True, False):
        family = [i for i, one in enumerate(findings) if (one.metric in HEADLINE) == headline and _effect(one).how != "equal"]
        worse = benjamini_hochberg([_effect(findings[i]).tail_worse for i in family])
        better = benjamini_hochberg([_effect(findings[i]).tail_better for i in family])
        decided |= {i: _decided(findings[i], *p, confidence) for i, *p in zip(family, worse, better, strict=True)}
    unchanged = [replace(one, verdict=Verdict.UNCHANGED) for one in findings]
    return [decided.get(i, unchanged[i]) for i in range(len(findings))]


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
