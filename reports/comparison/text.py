"""A comparison as a table on a terminal or in a pipe, and as Markdown."""

from __future__ import annotations

import sys
from typing import TextIO

from benchsuite.reports.comparison.compare import Comparison
from benchsuite.reports.comparison.side import Side
from benchsuite.reports.comparison.verdicts import FAIL, Finding, Verdict
from benchsuite.reports.comparison.words import COLUMNS, cost_lines, headline, row, rule_in_words, sides
from benchsuite.reports.labels import condition, heading, number
from benchsuite.reports.summary import Table

SHORT = 15  # rows of a verdict that does not fail, unless all are asked for
STYLES = dict.fromkeys(FAIL, "bold red") | {Verdict.IMPROVED: "green", Verdict.FIXED: "green", Verdict.UNCHANGED: "dim"}


def shown(comparison: Comparison, everything: bool = False) -> tuple[list[Finding], list[str]]:
    """Return the findings worth a row, and what was left out, in words. What fails is never left out."""
    if everything:
        return list(comparison.findings), []
    kept, left = [], []
    for verdict, count in comparison.counts.items():
        most = count if verdict in FAIL else 0 if verdict is Verdict.UNCHANGED else SHORT
        kept += [one for one in comparison.findings if one.verdict is verdict][:most]
        left += [f"{count - most} {verdict.value}"] if count > most else []
    return kept, left


def print_comparison(comparison: Comparison, everything: bool = False, stream: TextIO | None = None) -> None:
    """Print a comparison, most important first; in a pipe as wide as it needs."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    out = stream or sys.stdout
    console = Console(file=out, width=None if out.isatty() else 260, highlight=False)
    for line in [*sides(comparison), rule_in_words(comparison)]:
        console.print(Text(line), soft_wrap=True)
    findings, left = shown(comparison, everything)
    if findings:
        rows = [row(one) for one in findings]
        used = [i for i in range(len(COLUMNS)) if any(texts[i] not in ("", "—") for texts in rows)]
        table = RichTable(box=SIMPLE_HEAD, pad_edge=False)
        for i in used:
            table.add_column(COLUMNS[i], overflow="fold")
        for one, texts in zip(findings, rows, strict=True):
            table.add_row(*(Text(texts[i]) for i in used), style=STYLES.get(one.verdict))
        console.print(table)
    if left:
        console.print(Text(f"Not listed: {', '.join(left)} (--all lists them)."), soft_wrap=True)
    for line in [*cost_lines(comparison), headline(comparison)]:
        console.print(Text(line), soft_wrap=True)


def as_markdown(comparison: Comparison, everything: bool = False) -> str:
    """Return a comparison as Markdown, fit for a comment of a merge request."""
    findings, left = shown(comparison, everything)
    parts = [f"## {headline(comparison)}", "\n".join(f"- {line}" for line in sides(comparison)), rule_in_words(comparison)]
    if findings:
        parts.append(Table("comparison", "", COLUMNS, [row(one) for one in findings]).markdown().rstrip())
    if left:
        parts.append(f"Not listed: {', '.join(left)}.")
    parts.append("\n".join(f"- {line}" for line in cost_lines(comparison)))
    return "\n\n".join(filter(None, parts)) + "\n"


def print_baseline(side: Side, stream: TextIO | None = None) -> None:
    """Print what a baseline holds: why and when it was accepted, of what, and every score."""
    from rich.console import Console
    from rich.text import Text

    out = stream or sys.stdout
    console = Console(file=out, width=None if out.isatty() else 260, highlight=False)
    about = {**side.about, "scenario": side.scenario, "scale": side.scale, **side.machine}
    for key, fact in about.items():
        console.print(Text(f"{key:<12} {fact}"), soft_wrap=True)
    for cell in side.cells:
        where = ", ".join(filter(None, (condition(dict(cell.swept)), f"repeat {cell.repeat}, seed {cell.seed}")))
        outcome = cell.status if not cell.reason else f"{cell.status}: {cell.reason}"
        console.print(Text(f"\n{cell.method}, {where}: {outcome}"), soft_wrap=True)
        for metric, value in cell.scores.items():
            console.print(Text(f"  {heading(side.columns, metric):<40} {number(value, 6)}"), soft_wrap=True)
