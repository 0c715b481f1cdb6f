"""Diffraction patterns of the recorded 4D-STEM series, as the microscopist sees them: logarithmic, with the aperture's edge."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import LogLocator, NullFormatter

from benchsuite.data import TiltSeries
from benchsuite.physics.detector import angle_step_mrad
from benchsuite.reports.figures.panels import first_cells
from benchsuite.reports.groups import condition_identity, conditions
from benchsuite.reports.labels import condition
from benchsuite.reports.style import WIDTH_IN, new_figure, say_instead, styled, wrapped
from benchsuite.results import Run

COLUMNS = 4
MOST_PANELS = 12
DECADES = 1e-3


@styled
def diffraction_patterns(run: Run) -> dict[str, Figure]:
    """Return one figure: for each different 4D-STEM series the pattern of the central probe in the middle tilt."""
    panels, seen = list[tuple[TiltSeries, str]](), set[str]()
    for point in conditions(run):
        for (_, identity), cell_id in first_cells(run).items():
            key = run.records[cell_id]["keys"].get("series")
            if identity != condition_identity(point) or key is None or key in seen:
                continue
            series = run.cell(cell_id).series()
            if series is not None and series.modality == "4dstem":
                seen.add(key)
                panels.append((series, condition(point)))
    shown = panels[:MOST_PANELS]
    columns = max(1, min(COLUMNS, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    figure = new_figure(min(WIDTH_IN, 2.4 * columns), 2.4 * rows + 0.2)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    if not shown:
        say_instead(axes[0, 0], "no cell of this run has diffraction patterns", 1)
    for axis, (series, title) in zip(axes.flat, shown, strict=False):
        _draw(axis, series)
        axis.set_title(wrapped(title, 26), fontsize=6.5)
    if len(panels) > len(shown):
        figure.suptitle(f"{len(shown)} of {len(panels)} series shown", fontsize=7)
    return {"diffraction_patterns": figure}


def _draw(axis: Axes, series: TiltSeries) -> None:
    middle = len(series.data) // 2
    ny, nx = series.scan_shape
    pattern = np.asarray(series.data[middle, 0])[ny // 2, nx // 2]
    step = angle_step_mrad(series)
    (below, above), (left, right) = ((-step * (n // 2 + 0.5), step * (n - n // 2 - 0.5)) for n in pattern.shape)
    top = float(pattern.max()) or 1.0
    least = 1 / series.electrons_per_position if np.isfinite(series.dose_e_per_A2) else DECADES * top
    picture = axis.imshow(
        np.maximum(pattern, 0.5 * least), cmap="magma", norm=LogNorm(min(0.5 * least, 0.9 * top), top), origin="lower",
        extent=(left, right, below, above), interpolation="nearest",
    )  # fmt: skip
    axis.add_patch(Circle((0, 0), series.optics.semiangle_mrad, fill=False, color="white", linewidth=0.5, linestyle=(0, (3, 3))))
    axis.set(xlabel="Angle x (mrad)", ylabel="Angle y (mrad)")
    bar = axis.figure.colorbar(picture, ax=axis, location="bottom", shrink=0.9, pad=0.02)
    bar.set_label("Fraction of the electrons", fontsize=6)
    bar.ax.tick_params(labelsize=5.5)
    bar.ax.xaxis.set_major_locator(LogLocator(numticks=4))
    bar.ax.xaxis.set_minor_formatter(NullFormatter())
