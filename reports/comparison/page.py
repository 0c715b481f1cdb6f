"""A comparison as one self-contained HTML file: a table in which every tested score has its effect drawn with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from benchsuite.reports.comparison.compare import Comparison
from benchsuite.reports.comparison.verdicts import FAIL, Finding, Verdict
from benchsuite.reports.comparison.words import COLUMNS, cost_lines, headline, row, rule_in_words, sides
from benchsuite.reports.style import BLUE, GREY, LIGHT_GREY, VERMILLION
from benchsuite.reports.templates import template

WIDTH, HEIGHT = 190, 18  # pixels of a drawn effect
REACH = 100.0  # margins to either side; what is further off ends in an arrow
COLORS = dict.fromkeys(FAIL, VERMILLION) | {Verdict.IMPROVED: BLUE, Verdict.FIXED: BLUE, Verdict.INCONCLUSIVE: "#1a1a1a"}


@dataclass(frozen=True)
class Row:
    """A line of the page: verdict, its colour, the texts of the columns, the drawn effect."""

    verdict: str
    color: str
    texts: list[str]
    drawing: Markup


def as_page(comparison: Comparison) -> str:
    """Return the page."""
    sections = [
        (verdict.value, verdict is Verdict.UNCHANGED, [_row(one) for one in comparison.findings if one.verdict is verdict])
        for verdict in comparison.counts
    ]
    return template("comparison.html.j2").render(
        headline=headline(comparison),
        failed=bool(comparison.failing),
        sides=sides(comparison),
        rule=rule_in_words(comparison),
        columns=COLUMNS[1:],
        sections=sections,
        costs=cost_lines(comparison),
        reach=f"{REACH:g}",
        width=WIDTH,
    )


def _row(one: Finding) -> Row:
    return Row(one.verdict.value, COLORS.get(one.verdict, GREY), row(one)[1:], effect(one))


def effect(one: Finding) -> Markup:
    """Return the harm with its one-sided bounds as SVG, in margins about zero: right is worse. Empty where nothing was tested."""
    if one.effect is None:
        return Markup("")
    color, scale = COLORS.get(one.verdict, GREY), one.effect.margin
    low, mean, high = (_x(value / scale) for value in (one.effect.low, one.effect.mean, one.effect.high))
    middle = HEIGHT / 2
    parts = [
        f'<rect x="{_x(-1):.1f}" width="{_x(1) - _x(-1):.1f}" height="{HEIGHT}" fill="#eee"/>',
        f'<line x1="{_x(0):.1f}" x2="{_x(0):.1f}" y2="{HEIGHT}" stroke="{LIGHT_GREY}"/>',
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" stroke="{color}" stroke-width="2"/>',
    ]
    for value, sign in ((one.effect.low / scale, -1), (one.effect.high / scale, 1)):
        if value * sign > REACH:
            tip, back = _x(value), _x(value) - sign * 6
            parts.append(f'<path d="M{tip:.1f} {middle} L{back:.1f} {middle - 4} L{back:.1f} {middle + 4} Z" fill="{color}"/>')
    if abs(one.effect.mean) <= REACH * scale:
        parts.append(f'<circle cx="{mean:.1f}" cy="{middle}" r="4" fill="{color}"/>')
    title = f"harm {one.effect.mean / scale:.2f} margins, bounds {one.effect.low / scale:.2f} and {one.effect.high / scale:.2f}"
    # numbers and colours of our own only: nothing that a user wrote is part of the drawing
    body = f"<title>{title}</title>{''.join(parts)}"
    return Markup(f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{body}</svg>')


def _x(margins: float) -> float:
    """Return the place of a harm in margins on the drawing: linear inside the margin, logarithmic beyond."""
    inside = min(max(margins, -REACH), REACH)
    return 4 + (WIDTH - 8) * (1 + math.asinh(inside) / math.asinh(REACH)) / 2
