"""The scores against each swept value, with the spread over repeats (after Lee et al. 2023, Fig. 9)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MplFigure

from benchsuite.columns import Column
from benchsuite.contract.figure import Figure
from benchsuite.reports.figures.bound_line import HALF_WIDTH, LOOK, bound_handle, bound_title, draw_bound
from benchsuite.reports.figures.panels import legend_below
from benchsuite.reports.figures.sweep_axis import are_numbers, dodged, draw_spread, log_if_decades
from benchsuite.reports.groups import Cells, Group, bound_of, conditions, groups
from benchsuite.reports.labels import column_of, condition, heading, label, mean_and_spread, value
from benchsuite.reports.style import WIDTH_IN, MethodStyle, new_figure, plain, styles_of, wrapped
from benchsuite.results import Run

MOST_SCORES = 3
TICK_WIDTH = 14
TICK_CHARACTERS = 30  # more do not fit below a panel side by side


class SweepLines(Figure):
    title = "Scores against each swept value"
    caption = "Scores of all methods against each swept value."
    reference = "Lee et al. (2023), Fig. 9"
    order = 30

    def caption_for(self, run: Run) -> str:
        swept = bool(independent_keys(run))
        caption = self.caption if swept else "Scores of all methods."
        if not any(len(group.rows) > 1 for group in groups(run)):
            return caption
        return f"{caption} Points are means over repeats, {'bands and bars' if swept else 'bars'} their sample standard deviations."

    def draw(self, run: Run) -> dict[str, MplFigure]:
        """One figure per swept key, a row for every setting of the others; without a sweep, the methods side by side.

        Of keys that advance together only the first number is shown. A setting at which the key has one value has no row.
        """
        keys = independent_keys(run)
        figures = {key: figure for key in keys if (figure := _lines(run, key, [other for other in keys if other != key]))}
        if not figures:
            return {"": _dots(run)}
        last = [key.rsplit(".", 1)[-1] for key in keys]
        names = [short if last.count(short) == 1 else key for key, short in zip(keys, last, strict=True)]
        return {name: figures[key] for key, name in zip(keys, names, strict=True) if key in figures}


def _metrics(run: Run) -> list[str]:
    """Return the headline scores; of a run that has none of them, its first other scores."""
    columns = [column_of(run.columns, name) for name in run.columns.ordered(map(str, run.table))]
    headline = [column.name for column in columns if column.role == "headline"]
    others = [column.name for column in columns if column.role == "score" and not column.bound_of]
    for names in (headline, others):
        found = [name for name in names if run.table[name].notna().any()]
        if found:
            return found[:MOST_SCORES]
    return headline


def independent_keys(run: Cells) -> list[str]:
    """Return the swept keys that vary, without those whose values stand one to one with those of another that is kept."""
    points = conditions(run)
    values = {key: [str(point.get(key)) for point in points] for key in run.sweep_keys}
    numbers = {key: all(isinstance(point.get(key), (int, float, np.number)) for point in points) for key in run.sweep_keys}
    kept: list[str] = []
    for key in sorted(run.sweep_keys, key=lambda key: not numbers[key]):
        count = len(set(values[key]))
        alike = [k for k in kept if len(set(values[k])) == count == len(set(zip(values[k], values[key], strict=True)))]
        if count > 1 and not alike:
            kept.append(key)
    return [key for key in run.sweep_keys if key in kept]


def _lines(run: Run, key: str, others: list[str]) -> MplFigure | None:
    """Return the figure of a key, or None where no setting of the others has two values of it."""
    rows: dict[str, list[Group]] = {}
    for group in groups(run):
        rows.setdefault(condition({other: group.swept[other] for other in others}), []).append(group)
    rows = {held: members for held, members in rows.items() if len({repr(group.swept[key]) for group in members}) > 1}
    if not rows:
        return None
    styles = styles_of(run)
    metrics = _metrics(run)
    figure = new_figure(WIDTH_IN, 1.75 * len(rows) + 0.6)
    axes = figure.subplots(len(rows), len(metrics), squeeze=False)
    for row, (held, members) in zip(axes, rows.items(), strict=True):
        values = list({repr(group.swept[key]): group.swept[key] for group in members}.values())
        joined = are_numbers(values)
        places, ticks = _places(key, sorted(values) if joined else values)
        beside = dodged([method for method in styles if any(group.method == method for group in members)])
        crowded = sum(len(tick) for tick in ticks) > TICK_CHARACTERS
        for axis, metric in zip(row, metrics, strict=True):
            shown = list[float]()
            for method, shift in beside.items():
                at = places if joined else {value: place + shift for value, place in places.items()}
                of_method = [group for group in members if group.method == method]
                shown += _line(axis, of_method, key, at, metric, styles[method], joined)
            axis.set_xticks(list(places.values()), [wrapped(tick, TICK_WIDTH) for tick in ticks])
            if crowded:
                axis.tick_params(axis="x", labelrotation=35)
            axis.set(xlabel=label(key), ylabel=heading(run.columns, metric))
            if joined:
                axis.margins(x=0.12)
            else:
                axis.set_xlim(-0.5, len(places) - 0.5)
            axis.grid(axis="y")
            if run.columns.bound_of(metric) is not None:
                shown += draw_bound(axis, members, metric, key, places, joined)
                log_if_decades(axis, "y", np.array(shown))
            if column_of(run.columns, metric).unit == "%":
                percentages(axis, column_of(run.columns, metric))
            axis.set_title(wrapped(held, 40))
    legend = {text: handle for axis in axes[:, 0] for handle, text in zip(*axis.get_legend_handles_labels(), strict=True)}
    legend_below(figure, list(legend.values()))
    return figure


def percentages(axis: Axes, column: Column) -> None:
    """Show at least five per cent from 0 on, and not beyond 100 where more is better, with room for the markers at the ends."""
    most = 100.0 if column.direction == "higher" else math.inf
    low, high = axis.get_ylim()
    middle = (low + high) / 2
    low, high = min(low, middle - 2.5), max(high, middle + 2.5)
    room = 0.06 * (high - low)
    axis.set_ylim(max(low, -room), min(high, most + room))


def _line(
    axis: Axes, chosen: list[Group], key: str, places: dict[str, float], metric: str, style: MethodStyle, joined: bool
) -> list[float]:
    """Draw the means of a method and return them."""
    points = sorted((places[repr(group.swept[key])], *mean_and_spread(group.rows[metric])[:2]) for group in chosen)
    x, mean, spread = np.array(points, dtype=np.float64).reshape(-1, 3).T
    line: Any = style.linestyle if joined else "none"
    axis.plot(x, mean, color=style.color, marker=style.marker, linestyle=line, label=plain(chosen[0].method))
    draw_spread(axis, x, mean, spread, style.color, joined)
    return [float(value) for value in mean]


def _places(key: str, order: list[Any]) -> tuple[dict[str, float], list[str]]:
    """Return equally spaced places for the values: doses span decades and end in "no noise", categories have no scale."""
    ticks = ["no noise" if isinstance(item, float) and math.isinf(item) else value(key, item) for item in order]
    return {repr(item): float(i) for i, item in enumerate(order)}, ticks


def _dots(run: Run) -> MplFigure:
    everything = groups(run)
    styles = styles_of(run)
    figure = new_figure(WIDTH_IN, 0.28 * len(everything) + 1.1)
    metrics = _metrics(run)
    axes = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axis, metric in zip(axes, metrics, strict=True):
        for place, group in enumerate(everything):
            mean, spread, _ = mean_and_spread(group.rows[metric])
            style = styles[group.method]
            error = None if math.isnan(spread) else spread
            axis.errorbar(mean, -place, xerr=error, color=style.color, marker=style.marker, linestyle="none", capsize=2)
            if math.isfinite(bound := bound_of([group], metric)):
                axis.vlines(bound, -place - HALF_WIDTH, -place + HALF_WIDTH, **LOOK)
        axis.set_yticks([-place for place in range(len(everything))], [_named(group) for group in everything])
        axis.set_ylim(-len(everything) + 0.5, 0.5)
        axis.set_xlabel(heading(run.columns, metric))
        axis.grid(axis="x")
        axis.margins(x=0.15)
    bounded = [metric for metric in metrics if math.isfinite(bound_of(everything, metric))]
    if bounded:
        legend_below(figure, [bound_handle(bound_title(run.columns, bounded[0]))])
    return figure


def _named(group: Group) -> str:
    return ", ".join(part for part in (plain(group.method), condition(group.swept)) if part)
