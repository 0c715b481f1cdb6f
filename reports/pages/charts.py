"""Charts of a page as SVG text: lines and stacked bars with labelled axes, linear or logarithmic.

matplotlib takes a quarter of a second for what this does in a millisecond, and a report may have a thousand pages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from benchsuite.reports.labels import number

WIDTH, HEIGHT = 360, 240
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 46


@dataclass(frozen=True)
class Axis:
    """One axis: its label with unit, its ends, whether it is logarithmic."""

    label: str
    low: float
    high: float
    log: bool = False

    def place(self, values: np.ndarray) -> np.ndarray:
        """Return where values are between the ends: 0 to 1."""
        low, high = (math.log10(self.low), math.log10(self.high)) if self.log else (self.low, self.high)
        return ((np.log10(values) if self.log else np.asarray(values, np.float64)) - low) / (high - low)

    def ticks(self) -> list[float]:
        if not self.log:
            raw = (self.high - self.low) / 5
            power = 10.0 ** math.floor(math.log10(raw))
            step = power * next(k for k in (1, 2, 5, 10) if k * power >= raw * 0.999)
            first = math.ceil(self.low / step - 1e-9)
            return [step * k for k in range(first, math.floor(self.high / step + 1e-9) + 1)]
        decades = range(math.floor(math.log10(self.low) - 1e-9), math.ceil(math.log10(self.high) + 1e-9) + 1)
        fine = [k * 10.0**d for d in decades for k in ((1, 2, 5) if len(decades) <= 3 else (1,))]
        inside = [tick for tick in fine if self.low * 0.999 <= tick <= self.high * 1.001]
        return inside[:: max(1, len(inside) // 6)]


def axis(label: str, values: np.ndarray, log: bool = False, zero: bool = False) -> Axis:
    """Return an axis that holds all values, with a little room; `zero`: it begins at zero."""
    good = values[np.isfinite(values) & ((values > 0) | (not log))]
    low, high = (float(good.min()), float(good.max())) if len(good) else (0.1 if log else 0.0, 1.0)
    if log:
        return Axis(label, low / 1.1, max(high * 1.1, low * 1.5), True)
    room = 0.04 * (high - low) or 0.5 * abs(high) or 0.5
    return Axis(label, 0.0 if zero and low >= 0 else low - room, high + room)


def lines(
    title: str, x: Axis, y: Axis, curves: Sequence[tuple[str, str, np.ndarray, np.ndarray]], level: float | None = None
) -> Markup:
    """Return a chart of curves (name, colour, x, y), with a legend if several; `level`: a dashed horizontal line."""

    def content(u: Callable[[np.ndarray], np.ndarray], v: Callable[[np.ndarray], np.ndarray]) -> list[str]:
        parts = []
        if level is not None:
            at = float(v(np.array([level]))[0])
            parts.append(
                f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#767676" stroke-dasharray="3 3"/>'
            )
            parts.append(f'<text x="{WIDTH - RIGHT}" y="{at - 4:.1f}" text-anchor="end" fill="#555">{number(level)}</text>')
        for name, color, xs, ys in curves:
            good = np.isfinite(xs) & np.isfinite(ys) & ((xs > 0) | (not x.log)) & ((ys > 0) | (not y.log))
            points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(u(xs[good]), v(ys[good]), strict=True))
            told = f"<title>{escape(name)}</title>"
            parts.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.8" points="{points}">{told}</polyline>')
        return parts

    legend = [(name, color, "line") for name, color, _, _ in curves] if len(curves) > 1 else []
    return _chart(title, x, y, content, legend)


def stacked(title: str, x: Axis, edges: np.ndarray, layers: Sequence[tuple[str, str, bool, np.ndarray]], y_label: str) -> Markup:
    """Return stacked bars over `edges` of layers (name, colour, whether hatched, counts)."""
    total = np.sum([counts for *_, counts in layers], axis=0)
    y = Axis(y_label, 0.0, max(1.0, 1.05 * float(total.max(initial=0))))

    def content(u: Callable[[np.ndarray], np.ndarray], v: Callable[[np.ndarray], np.ndarray]) -> list[str]:
        parts, bottom = [], np.zeros(len(edges) - 1)
        at = u(edges)
        for name, color, hatched, counts in layers:
            top, base = v(bottom + counts), v(bottom)
            boxes = "".join(
                f"M{at[i]:.1f} {base[i]:.1f}V{top[i]:.1f}H{at[i + 1]:.1f}V{base[i]:.1f}Z" for i in np.flatnonzero(counts)
            )
            bottom = bottom + counts
            if boxes:
                fill = f'fill="url(#hatch-{color[1:]})" stroke="{color}" stroke-width=".6"' if hatched else f'fill="{color}"'
                parts.append(f'<path d="{boxes}" {fill}><title>{escape(name)}</title></path>')
        return parts

    present = [(name, color, "hatched" if hatched else "solid") for name, color, hatched, counts in layers if counts.any()]
    return _chart(title, x, y, content, present)


def _chart(
    title: str,
    x: Axis,
    y: Axis,
    content: Callable[[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]], list[str]],
    legend: Sequence[tuple[str, str, str]],
) -> Markup:
    rows = _legend_rows(legend)
    height = HEIGHT + 16 * len(rows)

    def u(values: np.ndarray) -> np.ndarray:
        return LEFT + x.place(values) * (WIDTH - LEFT - RIGHT)

    def v(values: np.ndarray) -> np.ndarray:
        return HEIGHT - BOTTOM - y.place(values) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">']
    parts += [_hatch(color) for color in dict.fromkeys(color for _, color, kind in legend if kind == "hatched")]
    parts += content(u, v)
    parts += _frame(x, y, u, v)
    for row, entries in enumerate(rows):
        for at, (name, color, kind) in entries:
            parts.append(_key(at, HEIGHT + 4 + 16 * row, name, color, kind))
    return Markup("".join([*parts, "</svg>"]))  # numbers, and names that were escaped


def _hatch(color: str) -> str:
    return (
        f'<pattern id="hatch-{color[1:]}" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        f'<rect width="4" height="4" fill="#fff"/><path d="M0 0v4" stroke="{color}" stroke-width="1.6"/></pattern>'
    )


def _frame(x: Axis, y: Axis, u: Callable[[np.ndarray], np.ndarray], v: Callable[[np.ndarray], np.ndarray]) -> list[str]:
    base, parts = HEIGHT - BOTTOM, []
    parts.append(f'<path d="M{LEFT} {TOP}V{base}H{WIDTH - RIGHT}" fill="none" stroke="#222"/>')
    for text, at in zip(_texts(x.ticks()), u(np.array(x.ticks())), strict=True):
        parts.append(f'<path d="M{at:.1f} {base}v4" stroke="#222"/>')
        parts.append(f'<text x="{at:.1f}" y="{base + 16}" text-anchor="middle">{text}</text>')
    for text, at in zip(_texts(y.ticks()), v(np.array(y.ticks())), strict=True):
        parts.append(f'<path d="M{LEFT} {at:.1f}h-4" stroke="#222"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{text}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x.label)}</text>')
    half = (TOP + base) / 2
    parts.append(f'<text transform="translate(13 {half}) rotate(-90)" text-anchor="middle">{escape(y.label)}</text>')
    return parts


def _texts(ticks: list[float]) -> list[str]:
    """Return ticks with as many digits as tell them apart."""
    for digits in range(3, 9):
        texts = ["0" if abs(tick) < 1e-12 else number(tick, digits) for tick in ticks]
        if len(set(texts)) == len(ticks):
            break
    return texts


def _legend_rows(legend: Sequence[tuple[str, str, str]]) -> list[list[tuple[float, tuple[str, str, str]]]]:
    """Break the legend into rows that fit, by the length of the names."""
    rows: list[list[tuple[float, tuple[str, str, str]]]] = []
    at = math.inf
    for entry in legend:
        width = 24 + 6.2 * len(entry[0])
        if at + width > WIDTH:
            rows.append([])
            at = 8.0
        rows[-1].append((at, entry))
        at += width + 8
    return rows


def _key(x: float, y: float, name: str, color: str, kind: str) -> str:
    if kind == "line":
        mark = f'<path d="M{x:.0f} {y}h16" stroke="{color}" stroke-width="2"/>'
    else:
        fill = f"url(#hatch-{color[1:]})" if kind == "hatched" else color
        mark = f'<rect x="{x:.0f}" y="{y - 5}" width="14" height="10" fill="{fill}" stroke="{color}"/>'
    return f'{mark}<text x="{x + 20:.0f}" y="{y + 4}">{escape(name)}</text>'
