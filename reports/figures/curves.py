"""Curves of every method, one panel per point of the sweep: convergence, Fourier shell correlation, pair distribution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchsuite.reports.figures.panels import first_cells
from benchsuite.reports.groups import condition_identity, conditions, methods
from benchsuite.reports.labels import condition
from benchsuite.reports.style import (
    BLACK,
    GREY,
    WIDTH_IN,
    MethodStyle,
    legend_columns,
    method_styles,
    new_figure,
    plain,
    say_instead,
    styled,
    wrapped,
)
from benchsuite.results import CellResult, Run

COLUMNS = 3
SHELLS = (("fsc", 0.5, None, ""), ("fsc_half_sets", 0.143, ":", ", half sets"))  # curve, threshold, style, name beside the other
MOST_PANELS = 12


def convergence(run: Run) -> dict[str, Figure]:
    """Loss against iteration, each method's divided by its own first value: losses of different methods are different things."""
    return panels(run, "convergence", _convergence, "Iteration", "Loss / first loss", None)


def fourier_shell(run: Run) -> dict[str, Figure]:
    """Fourier shell correlation with the true atoms, and dotted between half sets, with the thresholds of both."""
    return panels(run, "fourier_shell", _shell, "Spatial frequency (Å⁻¹)", "Correlation", None)


def pair_distribution(run: Run) -> dict[str, Figure]:
    """Pair distribution of the traced atoms over that of the truth."""
    return panels(run, "pair_distribution", _pairs, "Distance (Å)", "Neighbours per atom and Å", None)


@styled
def panels(
    run: Run,
    slug: str,
    draw: Callable[[Axes, CellResult, MethodStyle, str], bool],
    x: str,
    y: str,
    once: Callable[[Axes], None] | None,
    same_y: bool = True,
) -> dict[str, Figure]:
    """Return one figure: a panel per setting in which `draw` adds a line per method (False: it has none); `once` decorates it."""
    cells, points, styles = first_cells(run), conditions(run), method_styles(methods(run))
    shown = points[:MOST_PANELS]
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(WIDTH_IN if columns > 1 else 0.62 * WIDTH_IN, 1.9 * rows + 0.5)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=same_y)
    handles: dict[str, Any] = {}
    for axis, point in zip(axes.flat, shown, strict=False):
        drawn = False
        for method, style in styles.items():
            cell_id = cells.get((method, condition_identity(point)))
            if cell_id is not None and run.cell(cell_id).row["status"] == "ok":
                drawn |= draw(axis, run.cell(cell_id), style, method)
        if not drawn:
            say_instead(axis, "no cell of this column has such a curve", columns)
        elif once is not None:
            once(axis)
        axis.set_title(wrapped(condition(point), 40))
        axis.set(xlabel=x, ylabel=y)
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    if handles:
        figure.legend(
            list(handles.values()),
            list(handles),
            loc="outside lower center",
            ncols=legend_columns(figure.get_figwidth(), list(handles)),
        )
    if len(points) > len(shown):
        figure.suptitle(f"{len(shown)} of {len(points)} settings shown; the others are in the tables")
    return {slug: figure}


def _convergence(axis: Axes, cell: CellResult, style: MethodStyle, method: str) -> bool:
    result = cell.reconstruction()
    if result is None:
        return False
    iteration, loss = result.history.T
    good = np.isfinite(loss)
    if good.sum() < 2 or loss[good][0] <= 0:
        return False
    axis.plot(iteration[good], loss[good] / loss[good][0], color=style.color, linestyle=style.linestyle, label=plain(method))
    axis.set(xscale="log", yscale="log")
    return True


def _shell(axis: Axes, cell: CellResult, style: MethodStyle, method: str) -> bool:
    curves, drawn = cell.curves(), False
    for name, threshold, linestyle, what in SHELLS:
        if f"{name}_frequency" not in curves:
            continue
        frequency, correlation = curves[f"{name}_frequency"], curves[f"{name}_correlation"]
        label = plain(method) + ("" if name == "fsc" or "fsc_frequency" not in curves else what)
        axis.plot(frequency, correlation, color=style.color, linestyle=linestyle or style.linestyle, label=label)
        axis.set(ylim=(-0.1, 1.05), xlim=(0, float(frequency[-1])))
        if not any(line.get_gid() == name for line in axis.lines):
            axis.axhline(threshold, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)), gid=name)
            axis.text(float(frequency[-1]), threshold + 0.02, f"{threshold:g}", ha="right", va="bottom", fontsize=6, color=GREY)
        drawn = True
    return drawn


def _pairs(axis: Axes, cell: CellResult, style: MethodStyle, method: str) -> bool:
    curves = cell.curves()
    if "pdf_distance_A" not in curves:
        return False
    distance = curves["pdf_distance_A"]
    if not axis.lines and "pdf_truth" in curves:
        axis.fill_between(distance, curves["pdf_truth"], step="mid", color="#D9D9D9", label="truth", linewidth=0)
        axis.plot([], [], color=BLACK)
    axis.plot(distance, curves["pdf_traced"], color=style.color, linestyle=style.linestyle, linewidth=0.8, label=plain(method))
    axis.set(xlim=(1.5, 6.5))
    return True
