"""Laying out panels: a column per method and a row per point of the sweep, or a panel per point with a curve per method."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MplFigure

from benchsuite.contract.figure import Figure
from benchsuite.reports.groups import condition_identity, conditions, groups
from benchsuite.reports.labels import condition
from benchsuite.reports.style import WIDTH_IN, MethodStyle, legend_columns, new_figure, plain, say_instead, styles_of, wrapped
from benchsuite.results import CellResult, Run

ROWS, COLUMNS = 4, 4  # of a grid
CURVE_COLUMNS, MOST_PANELS = 3, 12


def representative_cells(run: Run) -> dict[tuple[str, Any], CellResult]:
    """Return the cell shown for each (method, condition): the first repeat that gave a result, else the first."""
    shown: dict[tuple[str, Any], CellResult] = {}
    for group in groups(run):
        row = (group.ok if group.n_ok else group.rows).iloc[0]
        shown[group.method, condition_identity(group.swept)] = run.cell(str(row["cell"]))
    return shown


def by_condition(run: Run, failed: bool = False) -> list[tuple[str, list[tuple[str, CellResult]]]]:
    """Return [(condition, [(method, cell)])] of the representative cells; `failed`: also of those that gave no result."""
    cells = representative_cells(run)
    found = []
    for point in conditions(run):
        same = [(method, cell) for (method, identity), cell in cells.items() if identity == condition_identity(point)]
        found.append((condition(point), [(method, cell) for method, cell in same if failed or cell.row["status"] == "ok"]))
    return found


def legend_below(figure: MplFigure, handles: Sequence[Artist]) -> None:
    """Put a legend below all panels, in as many rows as its entries need."""
    if handles:
        columns = legend_columns(figure.get_figwidth(), [str(handle.get_label()) for handle in handles])
        figure.legend(handles=list(handles), loc="outside lower center", ncols=columns)


class MethodGrid(Figure):
    """A panel for each method (columns) and condition (rows), at most 4 × 4 per figure; more go to further figures.

    The conditions of a single method stand side by side.
    """

    panel_height_in: ClassVar[float]

    @abstractmethod
    def panel(self, axes: Axes, cell: CellResult) -> None:
        """Draw a cell that gave a result."""

    def legend(self, run: Run) -> Sequence[Artist]:
        """Return the entries of the legend; those that no panel has are left out."""
        return ()

    def draw(self, run: Run) -> list[MplFigure]:
        cells, points = representative_cells(run), conditions(run)
        figures = []
        for rows in _pages(list(dict.fromkeys(method for method, _ in cells)), points):
            columns = max(map(len, rows))
            figure = new_figure(WIDTH_IN, self.panel_height_in * len(rows) + 0.55)
            axes = figure.subplots(len(rows), columns, squeeze=False)
            for row, of_row in zip(rows, axes, strict=True):
                for (method, point), panel in zip(row, of_row, strict=False):
                    title = plain(method) if len(points) == 1 else f"{plain(method)}\n{wrapped(condition(point), 34)}"
                    panel.set_title(title, fontsize=6.5)
                    self._fill(panel, cells.get((method, condition_identity(point))), columns)
                for panel in of_row[len(row) :]:
                    panel.set_visible(False)
            names = {name for panel in figure.axes for name in panel.get_legend_handles_labels()[1]}
            legend_below(figure, [handle for handle in self.legend(run) if handle.get_label() in names])
            figures.append(figure)
        return figures

    def _fill(self, panel: Axes, cell: CellResult | None, columns: int) -> None:
        if cell is None:
            say_instead(panel, "Not part of this run.", columns)
        elif cell.row["status"] != "ok":
            say_instead(panel, f"{cell.row['status']}: {cell.row['reason']}", columns)
        else:
            self.panel(panel, cell)


def _pages(methods: list[str], points: list[Any]) -> Iterator[list[list[tuple[str, Any]]]]:
    """Yield the rows of every figure as (method, condition) of their panels."""
    if len(methods) == 1:
        rows = [[(methods[0], point) for point in part] for part in chunks(points, COLUMNS)]
        yield from chunks(rows, ROWS)
        return
    for some_points in chunks(points, ROWS):
        for some_methods in chunks(methods, COLUMNS):
            yield [[(method, point) for method in some_methods] for point in some_points]


def chunks(items: Sequence[Any], most: int) -> Iterator[list[Any]]:
    """Yield the items in as few groups of at most `most` as will do, of nearly equal size: five as three and two."""
    size = -(-len(items) // -(-len(items) // most)) if items else 1
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


class MethodCurves(Figure):
    """A panel for each condition, with a curve for each method."""

    x_label: ClassVar[str]
    y_label: ClassVar[str]
    share_y: ClassVar[bool] = True

    @abstractmethod
    def curve(self, axes: Axes, cell: CellResult, style: MethodStyle, method: str) -> bool:
        """Draw the curve of a cell; return whether it has one."""

    def finish(self, axes: Axes) -> None:
        """Add to a panel that has curves."""
        return

    def draw(self, run: Run) -> MplFigure:
        points, styles = by_condition(run), styles_of(run)
        shown = points[:MOST_PANELS]
        columns = min(CURVE_COLUMNS, len(shown))
        rows = -(-len(shown) // columns)
        figure = new_figure(WIDTH_IN if columns > 1 else 0.62 * WIDTH_IN, 1.9 * rows + 0.5)
        axes = figure.subplots(rows, columns, squeeze=False, sharey=self.share_y)
        handles: dict[str, Artist] = {}
        for panel, (setting, cells) in zip(axes.flat, shown, strict=False):
            drawn = [self.curve(panel, cell, styles[method], method) for method, cell in cells]
            if any(drawn):
                self.finish(panel)
            else:
                say_instead(panel, "No method has such a curve under this condition.", columns)
            panel.set_title(wrapped(setting, 40))
            panel.set(xlabel=self.x_label, ylabel=self.y_label)
            handles |= dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
        for panel in axes.flat[len(shown) :]:
            panel.set_visible(False)
        legend_below(figure, list(handles.values()))
        if len(points) > len(shown):
            figure.suptitle(f"{len(shown)} of {len(points)} conditions are shown; the tables list all of them.")
        return figure
