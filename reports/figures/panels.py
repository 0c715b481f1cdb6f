"""Laying out panels: a row per method and a column per point of the sweep, spread over as many figures as are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchsuite.results import CellResult, Run
from reports.groups import condition_identity, conditions, groups
from reports.labels import condition
from reports.style import WIDTH_IN, new_figure, plain, say_instead, styled, wrapped

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
    """Draw one panel per method (columns) and condition (rows), at most 4 × 4 per figure; more go to further figures."""
    cells = first_cells(run)
    columns = list(dict.fromkeys(method for method, _ in cells))
    points = conditions(run)
    figures: dict[str, Figure] = {}
    for rows in _chunks(points, ROWS):
        for methods in _chunks(columns, COLUMNS):
            figure = new_figure(WIDTH_IN, height_in * len(rows) + 0.55)
            axes = figure.subplots(len(rows), len(methods), squeeze=False)
            for i, point in enumerate(rows):
                for j, method in enumerate(methods):
                    cell_id = cells.get((method, condition_identity(point)))
                    axis = axes[i][j]
                    title = plain(method) if len(points) == 1 else f"{plain(method)}\n{wrapped(condition(point), 34)}"
                    axis.set_title(title, fontsize=6.5)
                    if cell_id is None:
                        say_instead(axis, "not part of this run", len(methods))
                        continue
                    cell = run.cell(cell_id)
                    if cell.row["status"] != "ok":
                        say_instead(axis, f"{cell.row['status']}: {cell.row['reason']}", len(methods))
                    else:
                        draw(axis, cell)
            legend(figure, run)
            figures[slug if not figures else f"{slug}_{len(figures) + 1}"] = figure
    return figures


def _chunks(items: list, most: int) -> Iterator[list]:
    """Yield the items in as few groups of at most `most` as will do, of nearly equal size: five as three and two."""
    size = -(-len(items) // -(-len(items) // most)) if items else 1
    for start in range(0, len(items), size):
        yield items[start : start + size]
