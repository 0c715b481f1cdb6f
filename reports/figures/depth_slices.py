"""The slices in depth of one view, as multislice ptychography finds them."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from benchsuite.reports.figures.panels import first_cells
from benchsuite.reports.groups import condition_identity, conditions
from benchsuite.reports.labels import condition
from benchsuite.reports.style import WIDTH_IN, new_figure, plain, styled, wrapped
from benchsuite.results import Run

MOST_FIGURES, MOST_SLICES = 4, 6


@styled
def depth_slices(run: Run) -> dict[str, Figure]:
    """Phase of every slice, a row per method, on one scale for each row; one figure per setting."""
    figures: dict[str, Figure] = {}
    for point in conditions(run)[:MOST_FIGURES]:
        rows = []
        for (method, identity), cell_id in first_cells(run).items():
            cell = run.cell(cell_id)
            result = cell.reconstruction() if identity == condition_identity(point) and cell.row["status"] == "ok" else None
            if result is not None and result.slices is not None:
                rows.append((method, result.slices.phase, result.slices.edges_A))
        if rows:
            slug = "depth_slices" if not figures else f"depth_slices_{len(figures) + 1}"
            figures[slug] = _figure(rows, condition(point))
    return figures


def _figure(rows: list[tuple[str, np.ndarray, np.ndarray]], title: str) -> Figure:
    columns = min(MOST_SLICES, max(len(phase) for _, phase, _ in rows))
    figure = new_figure(WIDTH_IN, WIDTH_IN / max(columns, 3) * len(rows) + 0.4)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, (method, phase, edges) in zip(axes, rows, strict=True):
        top = float(np.percentile(phase, 99.9)) or 1.0
        for axis, image, above, below in zip(line, phase, edges, edges[1:], strict=False):
            shown = axis.imshow(image, cmap="magma", vmin=0, vmax=top, origin="lower", interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.set_title(f"{plain(method)}\nz = {above / 10:.1f} to {below / 10:.1f} nm".replace("-", "−"), fontsize=6.5)
        for axis in line[len(phase) :]:
            axis.set_visible(False)
        bar = figure.colorbar(shown, ax=line.tolist(), shrink=0.8, label="Phase (rad)")
        bar.ax.tick_params(labelsize=5)
    figure.suptitle(wrapped(title, 90), fontsize=7)
    return figure
