"""The slices in depth of one view, as multislice ptychography finds them."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure as MplFigure

from benchsuite.contract.figure import Figure
from benchsuite.reports.figures.panels import by_condition
from benchsuite.reports.style import WIDTH_IN, new_figure, plain, wrapped
from benchsuite.results import Run

MOST_FIGURES, MOST_SLICES = 4, 6


class DepthSlices(Figure):
    title = "Slices in depth of a single view"
    caption = "Phase of each slice in depth, with the same colour scale for all slices of a method."
    order = 40

    def draw(self, run: Run) -> list[MplFigure]:
        figures = []
        for setting, cells in by_condition(run)[:MOST_FIGURES]:
            results = [(method, cell.reconstruction()) for method, cell in cells]
            rows = [
                (method, result.slices.phase, result.slices.edges_A)
                for method, result in results
                if result is not None and result.slices is not None
            ]
            if rows:
                figures.append(_figure(rows, setting))
        return figures


def _figure(rows: list[tuple[str, np.ndarray, np.ndarray]], title: str) -> MplFigure:
    columns = min(MOST_SLICES, max(len(phase) for _, phase, _ in rows))
    figure = new_figure(WIDTH_IN, WIDTH_IN / max(columns, 3) * len(rows) + 0.4)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, (method, phase, edges) in zip(axes, rows, strict=True):
        top = float(np.percentile(phase, 99.9)) or 1.0
        for panel, image, above, below in zip(line, phase, edges, edges[1:], strict=False):
            shown = panel.imshow(image, cmap="magma", vmin=0, vmax=top, origin="lower", interpolation="nearest")
            panel.set(xticks=[], yticks=[])
            panel.set_title(f"{plain(method)}\nz = {above / 10:.1f} to {below / 10:.1f} nm".replace("-", "−"), fontsize=6.5)
        for panel in line[len(phase) :]:
            panel.set_visible(False)
        bar = figure.colorbar(shown, ax=line.tolist(), shrink=0.8, label="Phase (rad)")
        bar.ax.tick_params(labelsize=5)
    figure.suptitle(wrapped(title, 90), fontsize=7)
    return figure
