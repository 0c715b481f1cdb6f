"""Small multiples: every score against every swept value, a row per score, a column per setting of the other keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MplFigure
from matplotlib.lines import Line2D

from benchsuite.columns import Column
from benchsuite.reports.figures.bound_line import bound_handle, bound_title, draw_bound
from benchsuite.reports.figures.panels import chunks
from benchsuite.reports.figures.sweep_axis import SweepAxis, dodged, draw_spread, log_if_decades, sweep_axis
from benchsuite.reports.figures.sweep_lines import independent_keys, percentages
from benchsuite.reports.groups import Group, bound_of, groups
from benchsuite.reports.labels import column_of, condition, heading, label
from benchsuite.reports.pool import Pool
from benchsuite.reports.style import GREY, WIDTH_IN, MethodStyle, legend_columns, new_figure, plain, styled, wrapped

ROWS, COLUMNS = 5, 4
PANEL_IN, BOTTOM_IN = 0.95, 0.62  # height of a panel; room for ticks and label of the axis, below which the legend stands
LEGEND_ROW_IN = 0.14
MOST_COUNTS = 4  # beside the points of a panel; more would hide the lines, and open markers say enough


@dataclass(frozen=True)
class Sheet:
    """What one figure shows: metrics (rows) and settings of the other keys (columns); of one setting, metrics in both."""

    key: str
    metrics: Sequence[str]
    held: Sequence[tuple[str, Sequence[Group]]]
    left_out: int
    part: str


def scores_of(pool: Pool) -> list[str]:
    """Return every score of a pool that is a number anywhere, in order; a bound is a line among the values of what it bounds."""
    good = pool.table[pool.table["status"] == "ok"]
    columns = [column_of(pool.columns, name) for name in pool.columns.ordered(map(str, pool.table)) if name not in pool.sweep_keys]
    scores = [column.name for column in columns if column.role != "fact" and not column.bound_of]
    return [name for name in scores if pd.api.types.is_numeric_dtype(pool.table[name]) and good[name].notna().any()]


def sheets(pool: Pool) -> list[Sheet]:
    """Return the figures of a pool: by swept key, for at most COLUMNS settings of the others, ROWS scores at a time."""
    metrics, everything, found = scores_of(pool), groups(pool), []
    keys = independent_keys(pool)
    for key in keys:
        others = [other for other in keys if other != key]
        held: dict[str, list[Group]] = {}
        for group in everything:
            held.setdefault(condition({other: group.swept[other] for other in others}), []).append(group)
        lines = [(text, members) for text, members in held.items() if len({repr(group.swept[key]) for group in members}) > 1]
        if not lines:
            continue
        chosen = [lines[i] for i in np.unique(np.linspace(0, len(lines) - 1, COLUMNS).round().astype(int))]
        most = ROWS if len(chosen) > 1 else ROWS * COLUMNS
        parts = list(chunks(metrics, most))
        for number, names in enumerate(parts):
            part = f"_{number + 1}" if len(parts) > 1 else ""
            found.append(Sheet(key, names, chosen, len(lines) - len(chosen), part))
    return found


@styled
def small_multiples(sheet: Sheet, styles: dict[str, MethodStyle]) -> MplFigure:
    """Draw a sheet: means over repeats with bands or bars of their standard deviations; crosses at the bottom have no result."""
    shown = [group for _, members in sheet.held for group in members]
    axis = sweep_axis(sheet.key, [group.swept[sheet.key] for group in shown])
    usual = Counter(group.n_total for group in shown).most_common(1)[0][0]
    alone = len(sheet.held) == 1
    columns = min(COLUMNS, len(sheet.metrics)) if alone else len(sheet.held)
    rows = -(-len(sheet.metrics) // columns) if alone else len(sheet.metrics)
    handles = _handles(shown, styles, axis.numeric)
    titles = dict.fromkeys(
        bound_title(shown[0].columns, metric) for metric in sheet.metrics if np.isfinite(bound_of(shown, metric))
    )
    handles += map(bound_handle, titles)
    legend = legend_columns(WIDTH_IN, [str(handle.get_label()) for handle in handles])
    legend_in = LEGEND_ROW_IN * -(-len(handles) // legend)
    figure, axes = _grid(rows, columns, alone, legend_in)
    for number, metric in enumerate(sheet.metrics):
        of_metric = [axes.flat[number]] if alone else list(axes[number])
        values = [
            value
            for panel, (_, members) in zip(of_metric, sheet.held, strict=True)
            for value in _panel(panel, metric, members, axis, styles, usual)
        ]
        _dress_y(of_metric[0], column_of(shown[0].columns, metric), np.array(values))
        for panel in of_metric:
            axis.dress(panel)
            panel.set_xlabel("")
            panel.tick_params(labelbottom=alone or number == rows - 1)
        if alone:
            of_metric[0].set_title(wrapped(heading(shown[0].columns, metric), 34), fontsize=6)
        else:
            of_metric[0].set_ylabel(wrapped(heading(shown[0].columns, metric), 18), fontsize=6)
    for spare in axes.flat[len(sheet.metrics) :] if alone else ():
        spare.set_visible(False)
    if not alone:
        for panel, (held, _) in zip(axes[0], sheet.held, strict=True):
            panel.set_title(wrapped(held, 30), fontsize=6)
    height = figure.get_figheight()
    figure.text(0.5, (BOTTOM_IN - 0.52 + legend_in) / height, label(sheet.key), ha="center", va="bottom", fontsize=7)
    figure.legend(handles=handles, loc="lower center", ncols=legend, borderaxespad=0.3)
    figure.text(0.5, 1 - 0.05 / height, _note(sheet, usual), ha="center", va="top", fontsize=6.5)
    return figure


def _grid(rows: int, columns: int, alone: bool, legend_in: float) -> tuple[MplFigure, np.ndarray]:
    """Return panels at fixed distances in inches: constrained layout, which tries, fails for many small panels."""
    gap = 0.55 if alone else 0.12
    top, bottom = 0.22 + (0.16 if alone else 0.24), BOTTOM_IN + legend_in
    height = top + rows * PANEL_IN + (rows - 1) * gap + bottom
    figure = new_figure(WIDTH_IN, height)
    figure.set_layout_engine(None)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=False if alone else "row")
    width = (WIDTH_IN - 0.75) / columns
    across = 0.55 if alone else 0.15
    figure.subplots_adjust(
        left=0.62 / WIDTH_IN,
        right=1 - 0.13 / WIDTH_IN,
        top=1 - top / height,
        bottom=bottom / height,
        hspace=gap / PANEL_IN,
        wspace=across / (width - across) if columns > 1 else 0,
    )
    return figure, axes


def _dress_y(panel: Axes, column: Column, values: np.ndarray) -> None:
    if column.unit == "%":
        percentages(panel, column)
    else:
        log_if_decades(panel, "y", values)


def _panel(
    panel: Axes, metric: str, members: Sequence[Group], axis: SweepAxis, styles: dict[str, MethodStyle], usual: int
) -> list[float]:
    """Draw the lines of all methods, and the bound of the RMSD; return the values on them."""
    values, odd = list[float](), 0
    beside = dodged([method for method in styles if any(group.method == method for group in members)])
    for method, shift in beside.items():
        style = styles[method]
        of_method = sorted(
            (group for group in members if group.method == method), key=lambda group: axis.place(group.swept[axis.key])
        )
        aside = 0.0 if axis.numeric else shift
        points = [(axis.place(group.swept[axis.key]) + aside, *group.stat(metric), group) for group in of_method]
        good = [point for point in points if point[3] > 0]
        if good:
            x, mean, spread = np.array([point[:3] for point in good], dtype=np.float64).T
            if axis.numeric:
                panel.plot(x, mean, color=style.color, linestyle=style.linestyle, linewidth=0.9)
            draw_spread(panel, x, mean, spread, style.color, axis.numeric)
            for at, height, _, count, group in good:
                whole = count == group.n_total
                odd += count != usual
                panel.plot(
                    at, height, style.marker, markersize=3, color=style.color, markerfacecolor=style.color if whole else "white"
                )
                if count != usual and odd <= MOST_COUNTS:
                    panel.annotate(f"{count}/{group.n_total}", (at, height), (2, 3), textcoords="offset points", fontsize=4.5)
            values += [*mean[np.isfinite(mean)]]
        lost = [point[0] for point in points if point[3] == 0 and point[4].failure]
        panel.plot(
            lost, [0.04] * len(lost), "x", color=style.color, markersize=4, transform=panel.get_xaxis_transform(), clip_on=False
        )
    if members and members[0].columns.bound_of(metric) is not None:
        values += draw_bound(panel, members, metric, axis.key, axis.places, axis.numeric)
    panel.grid(axis="y")
    panel.margins(y=0.14)
    return values


def _handles(shown: Sequence[Group], styles: dict[str, MethodStyle], joined: bool) -> list[Line2D]:
    present = {group.method for group in shown}
    handles = []
    for method in (method for method in styles if method in present):
        style = styles[method]
        line: Any = style.linestyle if joined else "none"
        handles.append(
            Line2D([], [], color=style.color, marker=style.marker, linestyle=line, label=plain(method), linewidth=0.9, markersize=3)
        )
    if any(group.n_ok < group.n_total for group in shown):
        handles.append(
            Line2D([], [], marker="x", color=GREY, linestyle="none", markersize=4, label="no result (in the method's colour)")
        )
        open_marker: dict[str, Any] = {
            "marker": "o",
            "color": GREY,
            "markerfacecolor": "white",
            "linestyle": "none",
            "markersize": 3,
        }
        handles.append(Line2D([], [], label="some repeats failed", **open_marker))
    return handles


def _note(sheet: Sheet, usual: int) -> str:
    note = f"{usual} cell{'s' if usual > 1 else ''} per point; fewer where the marker is open or a number (ok/all) is beside it"
    if sheet.left_out:
        note += f"; {len(sheet.held)} of {len(sheet.held) + sheet.left_out} settings of the other swept keys"
    return note
