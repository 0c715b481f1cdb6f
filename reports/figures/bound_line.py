"""The Cramér–Rao bound in figures of the RMSD: a dashed line below which no unbiased method comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from benchsuite.reports.bound import bound_of
from benchsuite.reports.groups import Group
from benchsuite.reports.labels import name
from benchsuite.reports.style import BOUND_LINE

HALF_WIDTH = 0.42  # of the mark at a category, whose neighbours are 1 apart
LOOK: dict[str, Any] = {"color": BOUND_LINE.color, "linestyle": BOUND_LINE.linestyle, "linewidth": 1.0, "zorder": 1.5}


def bound_handle(of: str = "") -> Line2D:
    """Return the entry of a legend. `of`: of what it is the bound, where the axis does not tell."""
    return Line2D([], [], label=f"{name('bound_rmsd_pm')}{of}", **LOOK)


def draw_bound(axes: Axes, members: Sequence[Group], key: str, places: Mapping[str, float], joined: bool) -> list[float]:
    """Draw the bound at each value of a key that has one, and return what was drawn (pm); nothing where none has.

    `members`: the groups of the panel. `places`: where the values stand, by `repr`. `joined`: whether they are numbers.
    """
    x = sorted(set(places.values()))
    bounds = [bound_of(group for group in members if places[repr(group.swept[key])] == at) for at in x]
    return line_of_bound(axes, x, bounds, joined)


def line_of_bound(axes: Axes, places: Sequence[float], bounds: Sequence[float], joined: bool) -> list[float]:
    """Draw bounds at ascending places, nan where there is none, and return the others (pm)."""
    x, y = np.array(places, dtype=np.float64), np.array(bounds, dtype=np.float64)
    known = np.isfinite(y)
    if not known.any():
        return []
    if joined and known.sum() > 1:
        axes.plot(x, y, label=name("bound_rmsd_pm"), **LOOK)
    elif joined:
        axes.plot(x[known], y[known], "_", color=BOUND_LINE.color, markersize=16, zorder=1.5, label=name("bound_rmsd_pm"))
    else:
        axes.hlines(y[known], x[known] - HALF_WIDTH, x[known] + HALF_WIDTH, label=name("bound_rmsd_pm"), **LOOK)
    return [float(value) for value in y[known]]
