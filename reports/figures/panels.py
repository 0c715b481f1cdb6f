"""Laying out panels: a column per method and a row per point of the sweep, spread over as many figures as are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchsuite.reports.groups import condition_identity, conditions, groups
from benchsuite.reports.labels import condition
from benchsuite.reports.style import WIDTH_IN, new_figure, plain, say_instead, styled, wrapped
from benchsuite.results import CellResult, Run

ROWS, COLUMNS = 4, 4


def first_cells(run: Run) -> dict[tuple[str, Any], str]:
    """Return the cell shown for each (method, condition): the first repeat that gave a result, else the first."""
    shown: dict[tuple[str, Any], str] = {}
    for group in groups(run):
        good = group.rows[group.rows["status"] == "ok"]
        row = (good if len(good) else group.rows).iloc[0]
        shown[group.method, condition_identity(group.swept)] = str(row["cell"])
    return shown


@styled
def method_grid(
    run: Run, slug: str, draw: Callable[[Axes, CellResult], None], height_in: float, legend: Callable[[Figure, Run], None]
) -> dict[str, Figure]:
    """Draw one panel per method (columns) and condition (rows), at most 4 × 4 per figure; more go to further figures.

    The conditions of a single method stand side by side.
    """
    cells, points = first_cells(run), conditions(run)
    figures: dict[str, Figure] = {}
    for rows in _pages(list(dict.fromkeys(method for method, _ in cells)), points):
        columns = max(map(len, rows))
        figure = new_figure(WIDTH_IN, height_in * len(rows) + 0.55)
        axes = figure.subplots(len(rows), columns, squeeze=False)
        for row, of_row in zip(rows, axes, strict=True):
            for (method, point), axis in zip(row, of_row, strict=False):
                cell_id = cells.get((method, condition_identity(point)))
                title = plain(method) if len(points) == 1 else f"{plain(method)}\n{wrapped(condition(point), 34)}"
                axis.set_title(title, fontsize=6.5)
                if cell_id is None:
                    say_instead(axis, "not part of this run", columns)
                    continue
                cell = run.cell(cell_id)
                if cell.row["status"] != "ok":
                    say_instead(axis, f"{cell.row['status']}: {cell.row['reason']}", columns)
                else:
                    draw(axis, cell)
            for axis in of_row[len(row) :]:
                axis.set_visible(False)
        legend(figure, run)
        figures[slug if not figures else f"{slug}_{len(figures) + 1}"] = figure
    return figures


def _pages(methods: list[str], points: list) -> Iterator[list[list[tuple[str, Any]]]]:
    """Yield the rows of every figure as (method, condition) of their panels."""
    if len(methods) == 1:
        rows = [[(methods[0], point) for point in some] for some in _chunks(points, COLUMNS)]
        yield from _chunks(rows, ROWS)
        return
    for some_points in _chunks(points, ROWS):
        for some_methods in _chunks(methods, COLUMNS):
            yield [[(method, point) for method in some_methods] for point in some_points]


def _chunks(items: list, most: int) -> Iterator[list]:
    """Yield the items in as few groups of at most `most` as will do, of nearly equal size: five as three and two."""
    size = -(-len(items) // -(-len(items) // most)) if items else 1
    for start in range(0, len(items), size):
        yield items[start : start + size]
