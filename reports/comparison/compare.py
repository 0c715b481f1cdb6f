"""The comparison of two sides as a whole: findings by importance, ratios of cost, and the exit status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from benchsuite.columns import Columns
from benchsuite.errors import EXIT_NOTHING_COMPARABLE, EXIT_OK, EXIT_REGRESSION, BenchsuiteError, choices
from benchsuite.reports.comparison.costs import Ratio, other_machine, ratios
from benchsuite.reports.comparison.pairs import Same, grouped
from benchsuite.reports.comparison.rules import chosen_columns
from benchsuite.reports.comparison.side import Side
from benchsuite.reports.comparison.verdicts import FAIL, JUDGED, Finding, Verdict, by_margin, of_cells, pooled, samples, tested
from benchsuite.reports.statistics import CONFIDENCE

By = Literal["statistics", "margin"]


@dataclass(frozen=True)
class Comparison:
    """What `compare` found. findings: most important first. costs: ratios of time and memory, or `no_costs` says why not.

    changed: settings that differ, as (key, of the base, of the candidate).
    """

    base: Side
    candidate: Side
    findings: tuple[Finding, ...]
    costs: tuple[Ratio, ...]
    no_costs: str
    changed: tuple[tuple[str, str, str], ...]
    by: str
    same: str
    confidence: float

    @property
    def failing(self) -> list[Finding]:
        """What makes the comparison fail."""
        return [one for one in self.findings if one.verdict in FAIL]

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many findings there are of each verdict, most important first."""
        counted = Counter(one.verdict for one in self.findings)
        return {verdict: counted[verdict] for verdict in Verdict if counted[verdict]}

    @property
    def exit_status(self) -> int:
        """0 no regression, 1 regression, new failure or something missing, 4 nothing comparable."""
        paired_up = [one for one in self.findings if one.verdict in JUDGED and one.verdict is not Verdict.MISSING]
        if not paired_up and not any(one.verdict is Verdict.MISSING and one.metric for one in self.findings):
            return EXIT_NOTHING_COMPARABLE
        return EXIT_REGRESSION if self.failing else EXIT_OK


def compare(
    base: Side,
    candidate: Side,
    *,
    metrics: Sequence[str] = (),
    methods: Collection[str] = (),
    by: By | str = "statistics",
    same: Same | str = "bytes",
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Compare a candidate with a base, cell by cell.

    metrics: names of scores (NAME:lower or NAME:higher for columns without a direction); by default all that have one.
    methods: labels to compare.
    by: the paired tests, or the margin alone. same: cells are compared where the bytes of their series are equal, or the settings
    of the experiment (other code or another machine may then have simulated it).
    Raises BenchsuiteError for names that do not exist, and a confidence that is none.
    """
    for option, given, allowed in (("--by", by, get_args(By)), ("--same", same, get_args(Same))):
        if given not in allowed:
            raise BenchsuiteError(f"{option} {given}: {choices(given, allowed)}")
    if not 0.5 < confidence < 1:
        raise BenchsuiteError(f"--confidence {confidence:g}: must be between 0.5 and 1")
    columns = chosen_columns(metrics, base.scores, Columns([*base.columns, *candidate.columns]))
    groups = grouped(base, candidate, same, methods)
    every, missing = samples(groups, columns)
    judged = by_margin(every, confidence) if by == "margin" else tested(every, confidence) + pooled(every, confidence)
    found = [*of_cells(groups), *missing, *judged]
    order = list(Verdict)
    findings = tuple(sorted(found, key=lambda one: (order.index(one.verdict), one.swept is not None, -_size(one))))
    no_costs = other_machine(base, candidate)
    costs = () if no_costs else tuple(ratios(groups))
    return Comparison(base, candidate, findings, costs, no_costs, changed(base, candidate), by, same, confidence)


def _size(one: Finding) -> float:
    return abs(one.effect.mean) / one.effect.margin if one.effect else 0.0


def changed(base: Side, candidate: Side) -> tuple[tuple[str, str, str], ...]:
    """Return the settings that differ; nothing where a side does not know its settings (a baseline)."""
    if not base.settings or not candidate.settings:
        return ()
    keys = dict.fromkeys([*base.settings, *candidate.settings])
    pairs = [(key, base.settings.get(key, "—"), candidate.settings.get(key, "—")) for key in keys]
    return tuple((key, one, other) for key, one, other in pairs if one != other)
