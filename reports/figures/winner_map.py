"""The best method under each condition as a map: colour is how far a method is from the best, frames are winners and ties."""

from __future__ import annotations

import math

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure as MplFigure
from matplotlib.patches import Rectangle

from benchsuite.reports.labels import number
from benchsuite.reports.style import BLACK, LIGHT_GREY, WIDTH_IN, new_figure, plain, styled, wrapped
from benchsuite.reports.winners import Contest, Entry, Winners, percent

MOST_ROWS = 30
MOST_COLUMNS = 12
WORST = 4.0  # ratio to the best at which the colour ends


@styled
def winner_map(found: Winners) -> MplFigure:
    """Draw rows of conditions and columns of methods; numbers are the scores, the last column names the confidence."""
    contests = found.contests[:MOST_ROWS]
    methods = found.methods[:MOST_COLUMNS]
    figure = new_figure(WIDTH_IN, 0.24 * len(contests) + 1.5)
    axis = figure.subplots()
    ratios = np.array([[_ratio(contest, contest.entries[name], found.smaller) for name in methods] for contest in contests])
    colors = colormaps["cividis_r"].with_extremes(bad="#F2F2F2")
    mesh = axis.imshow(np.clip(ratios, 1.0, WORST), cmap=colors, norm=LogNorm(1.0, WORST), aspect="auto", alpha=0.75)
    size = 6 if len(methods) <= 6 else 5
    for row, contest in enumerate(contests):
        for column, name in enumerate(methods):
            _write(axis, row, column, contest.entries[name], ratios[row, column], size)
        confidence = "" if math.isnan(contest.confidence) else f"{percent(contest.confidence)}%"
        axis.text(len(methods) - 0.4, row, confidence, ha="left", va="center", fontsize=size, clip_on=False)
    axis.text(len(methods) - 0.4, -0.75, "confidence", ha="left", va="center", fontsize=size, clip_on=False)
    axis.set_xticks(range(len(methods)), [wrapped(name, 90 // len(methods)) for name in methods])
    axis.set_yticks(range(len(contests)), [plain(contest.condition, 48) for contest in contests])
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(mesh, ax=axis, orientation="horizontal", location="bottom", shrink=0.5, aspect=40, pad=0.02)
    ticks = [1.0, 1.5, 2.0, 3.0, WORST]
    bar.set_ticks(ticks, labels=[number(tick) if tick < WORST else f"≥ {number(tick)}" for tick in ticks])
    bar.minorticks_off()
    far = "Times the best" if found.smaller else "Times below the best"
    bar.set_label(f"{far}, {found.heading}. Thick frame: best; thin: tie; grey: fewer results than others")
    left = [f"{len(contests)} of {len(found.contests)} conditions"] if len(contests) < len(found.contests) else []
    left += [f"{len(methods)} of {len(found.methods)} methods"] if len(methods) < len(found.methods) else []
    if left:
        figure.suptitle(f"{', '.join(left)} shown; the table has all", fontsize=6.5)
    return figure


def _ratio(contest: Contest, entry: Entry, smaller: bool) -> float:
    """How many times worse than the best; nan where a method does not compete."""
    if contest.best is None or entry.standing in ("failed", "absent"):
        return math.nan
    best, own = contest.entries[contest.best].mean, entry.mean
    if own == best:
        return 1.0
    top, bottom = (own, best) if smaller else (best, own)
    return top / bottom if bottom > 0 and top > 0 else WORST


def _write(axis: Axes, row: int, column: int, entry: Entry, ratio: float, size: float) -> None:
    text = {"absent": "not run"}.get(entry.standing) or (number(entry.mean) if entry.n_ok else "no result")
    if entry.standing == "failed" and entry.n_ok:
        text = f"{text} ({entry.n_ok}/{entry.n_total})"
    dark = math.isfinite(ratio) and ratio > 2.6
    weight = "bold" if entry.standing == "best" else "normal"
    color = "white" if dark else "#8A3A00" if entry.standing == "failed" else LIGHT_GREY if entry.standing == "absent" else BLACK
    axis.text(column, row, text, ha="center", va="center", fontsize=size, color=color, fontweight=weight)
    if entry.standing in ("best", "tie"):
        width = 1.4 if entry.standing == "best" else 0.5
        axis.add_patch(Rectangle((column - 0.47, row - 0.44), 0.94, 0.88, fill=False, edgecolor=BLACK, linewidth=width, zorder=3))
