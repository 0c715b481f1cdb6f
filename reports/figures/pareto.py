"""Accuracy against its price, reconstruction time or electron dose, with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MplFigure
from matplotlib.lines import Line2D

from benchsuite.columns import Columns
from benchsuite.reports.figures.bound_line import LOOK, bound_handle, bound_title, line_of_bound
from benchsuite.reports.figures.panels import legend_below
from benchsuite.reports.figures.sweep_axis import log_if_decades, sweep_axis
from benchsuite.reports.groups import Group, bound_of, groups
from benchsuite.reports.labels import condition, heading, label
from benchsuite.reports.pool import Pool, setting
from benchsuite.reports.style import (
    LIGHT_GREY,
    VERMILLION,
    WIDTH_IN,
    MethodStyle,
    new_figure,
    plain,
    styled,
    wrapped,
)

DOSE = "acquisition.dose_e_per_A2"
COLUMNS, MOST = 4, 12
PANEL_IN = 1.75
MOST_COUNTS = 6  # beside the points of a panel; open markers say enough where there are more


@dataclass(frozen=True)
class Point:
    """A method under one condition: its price, its error (smaller is better), whether a repeat failed, and the bound."""

    method: str
    price: float
    error: float
    n_ok: int
    n_total: int
    bound: float = math.nan


def accuracy(pool: Pool) -> tuple[str, bool]:
    """Return (the score that stands for accuracy, whether smaller is better)."""
    ranked = sorted((column for column in pool.columns if column.ranking), key=lambda column: column.ranking)
    known = [column for column in ranked if column.name in pool.table and pool.table[column.name].notna().any()]
    return ((known or ranked)[0].name, (known or ranked)[0].direction == "lower")


def front(points: Sequence[tuple[float, float]], smaller: bool = True) -> list[int]:
    """Return the Pareto front: the points for which none has at most their price, at least their accuracy, and more of either.

    In the order of price. `smaller`: a smaller second number is better. Points with nan are no part of it.
    """
    sign = 1.0 if smaller else -1.0
    order = sorted(
        (i for i, p in enumerate(points) if not any(map(math.isnan, p))), key=lambda i: (points[i][0], sign * points[i][1])
    )
    best, last, kept = math.inf, (math.nan, math.nan), []
    for i in order:
        if sign * points[i][1] < best or points[i] == last:
            kept.append(i)
            best, last = sign * points[i][1], points[i]
    return kept


def dose_of(scenario: Mapping[str, Any], group: Group) -> float:
    """Return the electron dose (e/Å²) of a group; nan where nothing sets it."""
    return float(setting(scenario, {"reconstructor": group.method, **group.swept}, DOSE))


def pareto(pool: Pool, price: str, styles: dict[str, MethodStyle]) -> MplFigure | None:
    """Return the figure of accuracy against `price` ("time" or "dose"); None where there is none to compare.

    Time: a panel per condition, since methods compete under the same one. Dose: a panel per setting of the other keys.
    """
    metric, smaller = accuracy(pool)
    panels: dict[str, list[Point]] = {}
    failed: dict[str, list[Group]] = {}
    for group in groups(pool):
        cost = group.stat("reconstruct_s")[0] if price == "time" else dose_of(pool.scenario, group)
        name = condition({key: value for key, value in group.swept.items() if price == "time" or key != DOSE})
        error, _, count = group.stat(metric)
        bound = bound_of([group], metric)
        if count and not math.isnan(cost):
            panels.setdefault(name, []).append(Point(group.method, cost, error, count, group.n_total, bound))
        elif group.failure:
            failed.setdefault(name, []).append(group)
    panels = {name: points for name, points in panels.items() if len({point.price for point in points}) > 1}
    return _figure(panels, failed, metric, smaller, price, styles, pool.columns) if panels else None


@styled
def _figure(
    panels: dict[str, list[Point]],
    failed: dict[str, list[Group]],
    metric: str,
    smaller: bool,
    price: str,
    styles: dict[str, MethodStyle],
    declared: Columns,
) -> MplFigure:
    shown = list(panels.items())
    headings = (heading(declared, "reconstruct_s") if price == "time" else label(DOSE), heading(declared, metric))
    bound = bound_title(declared, metric)
    chosen = [shown[i] for i in np.unique(np.linspace(0, len(shown) - 1, MOST).round().astype(int))]
    columns = min(COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = new_figure(WIDTH_IN if columns > 1 else 0.62 * WIDTH_IN, (PANEL_IN if columns > 1 else 2.6) * rows + 0.9)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis, (name, points) in zip(axes.flat, chosen, strict=False):
        _panel(axis, points, smaller, price, styles, bound)
        axis.set_title(wrapped(name, 34), fontsize=6)
        axis.set_xlabel(headings[0])
        axis.set_ylabel(headings[1])
        lost = list(dict.fromkeys(group.method for group in failed.get(name, [])))
        if lost:
            text = wrapped(f"no result: {', '.join(lost)}", 26)
            axis.text(0.98, 0.98, text, transform=axis.transAxes, ha="right", va="top", fontsize=5, color=VERMILLION)
    for axis in axes.flat[len(chosen) :]:
        axis.set_visible(False)
    _legend(figure, [point for _, points in chosen for point in points], styles, bound)
    if len(chosen) < len(shown):
        figure.suptitle(f"{len(chosen)} of {len(shown)} settings, evenly chosen; the others are in the table", fontsize=6.5)
    return figure


def _panel(axis: Axes, points: Sequence[Point], smaller: bool, price: str, styles: dict[str, MethodStyle], bound: str) -> None:
    scale = sweep_axis(DOSE, [point.price for point in points]) if price == "dose" else None
    x = [scale.place(point.price) if scale else point.price for point in points]
    best = front([(at, point.error) for at, point in zip(x, points, strict=True)], smaller)
    steps = np.array([(x[i], points[i].error) for i in best])
    axis.step(steps[:, 0], steps[:, 1], where="post", color=LIGHT_GREY, linewidth=2.5, zorder=1)
    odd = 0
    for at, point in zip(x, points, strict=True):
        style, whole = styles[point.method], point.n_ok == point.n_total
        axis.plot(at, point.error, style.marker, color=style.color, markerfacecolor=style.color if whole else "white", markersize=4)
        odd += not whole
        if not whole and odd <= MOST_COUNTS:
            axis.annotate(f"{point.n_ok}/{point.n_total}", (at, point.error), (3, 3), textcoords="offset points", fontsize=4.5)
    least = _bound(axis, x, points, price, bound)
    axis.margins(0.12)
    axis.grid(visible=True)
    log_if_decades(axis, "y", np.array([*(point.error for point in points), *least]))
    if scale:
        scale.dress(axis)
    else:
        log_if_decades(axis, "x", np.array(x))


def _bound(axis: Axes, x: Sequence[float], points: Sequence[Point], price: str, title: str) -> list[float]:
    """Draw the bound of the score, at each dose or of the panel's one condition, and return it."""
    known = [(at, point.bound) for at, point in zip(x, points, strict=True) if math.isfinite(point.bound)]
    if price == "time":
        least = [float(np.median([bound for _, bound in known]))] if known else []
        for bound in least:
            axis.axhline(bound, **LOOK)
        return least
    places = sorted({at for at, _ in known})
    medians = [float(np.median([bound for at, bound in known if at == place])) for place in places]
    return line_of_bound(axis, places, medians, True, title)


def _legend(figure: MplFigure, points: Sequence[Point], styles: dict[str, MethodStyle], bound: str) -> None:
    present = {point.method for point in points}
    handles = [
        Line2D([], [], color=style.color, marker=style.marker, linestyle="none", label=plain(method))
        for method, style in styles.items()
        if method in present
    ]
    handles.append(Line2D([], [], color=LIGHT_GREY, linewidth=2.5, label="Pareto front"))
    if any(point.n_ok < point.n_total for point in points):
        handles.append(
            Line2D([], [], marker="o", color="black", markerfacecolor="white", linestyle="none", label="some repeats failed")
        )
    if any(math.isfinite(point.bound) for point in points):
        handles.append(bound_handle(bound))
    legend_below(figure, handles)
