"""Findings in words and numbers, shared by table, Markdown, JUnit and HTML."""

from __future__ import annotations

import math

from benchsuite.reports.comparison.compare import Comparison
from benchsuite.reports.comparison.costs import Ratio
from benchsuite.reports.comparison.verdicts import ALL_CONDITIONS, Finding, Verdict
from benchsuite.reports.labels import MISSING, condition, number
from benchsuite.reports.statistics import Paired

COLUMNS = ["Verdict", "Method", "Condition", "Score", "Base", "Candidate", "Harm", "Bounds", "Margin", "p", "n", "Remark"]
HARM = "Harm: candidate against base, positive is worse"


def row(one: Finding) -> list[str]:
    """Return the texts of a finding, as many as `COLUMNS`."""
    where = ALL_CONDITIONS if one.swept is None else condition(dict(one.swept)) or "—"
    head = [one.verdict.value, one.method, where, one.column.heading if one.column is not None else MISSING]
    if one.effect is None:
        return [*head, *[MISSING] * 7, one.reason]
    means = [number(value, 4) if value is not None else MISSING for value in (one.base, one.candidate)]
    p = MISSING if one.adjusted_p is None else number(one.adjusted_p, 2)
    return [*head, *means, harm(one), bounds(one), margin(one), p, str(one.effect.n), remark(one)]


def harm(one: Finding) -> str:
    """Return "+1.2 pm", or "+2.3 margins" where it is pooled."""
    return _with_unit(one, _signed(_effect(one).mean)) if _effect(one).how != "equal" else "0 (equal)"


def bounds(one: Finding) -> str:
    """Return the two one-sided bounds of the harm."""
    effect = _effect(one)
    return "0" if effect.how == "equal" else f"{_signed(effect.low)} to {_signed(effect.high)}"


def margin(one: Finding) -> str:
    """Return what harm has to exceed."""
    return _with_unit(one, number(_effect(one).margin, 2))


def remark(one: Finding) -> str:
    """Return the reason, and the test where it is no plain t test."""
    how = _effect(one).how
    notes = {"moderated t": "few repeats: moderated t", "sign flips": "sign flips"}
    return "; ".join(filter(None, (one.reason, notes.get(how, "") if one.verdict is not Verdict.UNCHANGED else "")))


def _effect(one: Finding) -> Paired:
    assert one.effect is not None
    return one.effect


def _signed(value: float) -> str:
    text = number(abs(value), 2)
    return text if value == 0 or math.isnan(value) else f"{'+' if value > 0 else '−'}{text}"


def _with_unit(one: Finding, text: str) -> str:
    symbol = "" if one.column is None else one.column.unit
    if one.swept is None:
        symbol = "margins" if text.strip("+−") != "1" else "margin"
    return f"{text}\N{NO-BREAK SPACE}{symbol}".rstrip()


def headline(comparison: Comparison) -> str:
    """Return the outcome in one sentence."""
    counts = ", ".join(f"{count} {verdict.value}" for verdict, count in comparison.counts.items()) or "no cell on either side"
    outcome = {0: "No regression", 1: "Regression", 4: "Nothing comparable"}[comparison.exit_status]
    return f"{outcome}: {counts}."


def rule_in_words(comparison: Comparison) -> str:
    """Return how verdicts were reached."""
    pairing = "on equal bytes of the series" if comparison.same == "bytes" else "of equal settings of the experiment"
    if comparison.by == "margin":
        return f"Cells {pairing}; regressed: the mean harm exceeds the margin."
    return (
        f"Cells {pairing}, paired repeat by repeat; regressed: the mean harm exceeds the margin, its one-sided "
        f"{100 * comparison.confidence:g}% bound is above zero, and so it stays after Benjamini-Hochberg at "
        f"{100 * (1 - comparison.confidence):.3g}% over all tests. {HARM}."
    )


def cost_lines(comparison: Comparison) -> list[str]:
    """Return the ratios of time and memory in words, or why there are none."""
    if comparison.no_costs:
        return [f"Time and memory are not comparable: {comparison.no_costs}."]
    if not comparison.costs:
        return []
    methods = dict.fromkeys(ratio.method for ratio in comparison.costs)
    lines = [f"{method}: {', '.join(_ratio(one) for one in comparison.costs if one.method == method)}" for method in methods]
    return ["Ratio candidate / base on the same machine, from separate runs; reported without a verdict.", *lines]


def _ratio(ratio: Ratio) -> str:
    spread = f" ({number(ratio.smallest)} to {number(ratio.largest)} of {ratio.cells} cells)" if ratio.cells > 1 else ""
    return f"{ratio.column.title.lower()} × {number(ratio.median)}{spread}"


def sides(comparison: Comparison) -> list[str]:
    """Return what the two sides are."""
    lines = []
    for role, side in (("Base", comparison.base), ("Candidate", comparison.candidate)):
        commit = str(side.about.get("commit") or "")[:12]
        facts = [
            f"scenario {side.scenario}, scale {side.scale}",
            f"commit {commit}{' with changes' if side.about.get('dirty') else ''}" if commit else "",
            f"accepted {side.about['accepted']}: {side.about['reason']}" if "reason" in side.about else "",
        ]
        lines.append(f"{role}: {side.name} ({'; '.join(filter(None, facts))})")
    lines += [f"Setting {key}: {one} → {other}" for key, one, other in comparison.changed]
    return lines
