"""The lower bound of a score in its figures: a dashed line below which no unbiased method comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from benchsuite.columns import Columns
from benchsuite.reports.groups import Group, bound_of
from benchsuite.reports.style import BOUND_LINE

HALF_WIDTH = 0.42  # of the mark at a category, whose neighbours are 1 apart
LOOK: dict[str, Any] = {"color": BOUND_LINE.color, "linestyle": BOUND_LINE.linestyle, "linewidth": 1.0, "zorder": 1.5}


def bound_title(columns: Columns, metric: str) -> str:
    """Return the title of the bound of a score, with what it is a bound of where that is another one."""
    column = columns.get(columns.bound_of(metric) or "")
    if column is None:
        return "Bound"
    first = columns.get(column.bound_of[0])
    return column.title if first is None or first.name == metric else f"{column.title} of the {first.title}"


def bound_handle(title: str) -> Line2D:
    """Return the entry of a legend."""
    return Line2D([], [], label=title, **LOOK)


def draw_bound(
    axes: Axes, members: Sequence[Group], metric: str, key: str, places: Mapping[str, float], joined: bool
) -> list[float]:
    """Draw the bound of a score at each value of a key that has one, and return what was drawn; nothing where none has.

    `members`: the groups of the panel. `places`: where the values stand, by `repr`. `joined`: whether they are numbers.
    """
    x = sorted(set(places.values()))
    bounds = [bound_of((group for group in members if places[repr(group.swept[key])] == at), metric) for at in x]
    return line_of_bound(axes, x, bounds, joined, bound_title(members[0].columns, metric))


def line_of_bound(axes: Axes, places: Sequence[float], bounds: Sequence[float], joined: bool, title: str) -> list[float]:
    """Draw bounds at ascending places, nan where there is none, and return the others."""
    x, y = np.array(places, dtype=np.float64), np.array(bounds, dtype=np.float64)
    known = np.isfinite(y)
    if not known.any():
        return []
    if joined and known.sum() > 1:
        axes.plot(x, y, label=title, **LOOK)
    elif joined:
        axes.plot(x[known], y[known], "_", color=BOUND_LINE.color, markersize=16, zorder=1.5, label=title)
    else:
        axes.hlines(y[known], x[known] - HALF_WIDTH, x[known] + HALF_WIDTH, label=title, **LOOK)
    return [float(value) for value in y[known]]
