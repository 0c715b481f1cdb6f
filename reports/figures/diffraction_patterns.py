"""Diffraction patterns of the recorded 4D-STEM series, as the microscopist sees them: logarithmic, with the aperture's edge."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure as MplFigure
from matplotlib.patches import Circle
from matplotlib.ticker import LogLocator, NullFormatter

from benchsuite.contract.figure import Figure
from benchsuite.data import TiltSeries
from benchsuite.physics.detector import angle_step_mrad
from benchsuite.reports.figures.panels import by_condition
from benchsuite.reports.style import WIDTH_IN, new_figure, wrapped
from benchsuite.results import Run

COLUMNS = 4
MOST_PANELS = 12
DYNAMIC_RANGE = 1e-3  # of a pattern without noise


class DiffractionPatterns(Figure):
    title = "Diffraction patterns"
    caption = (
        "Diffraction pattern of the central probe position in the middle tilt of each series, on a logarithmic scale. The dashed "
        "circle is the edge of the aperture."
    )
    order = 160

    def draw(self, run: Run) -> MplFigure | None:
        found: dict[str, tuple[TiltSeries, str]] = {}
        read = set[str]()
        for setting, cells in by_condition(run, failed=True):
            for _, cell in cells:
                key = run.records[cell.id]["keys"].get("series")
                if key is None or key in read:
                    continue
                read.add(key)
                series = cell.series()
                if series is not None and series.modality == "4dstem":
                    found[key] = series, setting
        if not found:
            return None
        shown = list(found.values())[:MOST_PANELS]
        columns = min(COLUMNS, len(shown))
        rows = -(-len(shown) // columns)
        figure = new_figure(min(WIDTH_IN, 2.4 * columns), 2.4 * rows + 0.2)
        axes = figure.subplots(rows, columns, squeeze=False)
        for panel in axes.flat[len(shown) :]:
            panel.set_axis_off()
        for panel, (series, setting) in zip(axes.flat, shown, strict=False):
            _draw(panel, series)
            panel.set_title(wrapped(setting, 26), fontsize=6.5)
        if len(found) > len(shown):
            figure.suptitle(f"{len(shown)} of {len(found)} series are shown.", fontsize=7)
        return figure


def _draw(panel: Axes, series: TiltSeries) -> None:
    middle = len(series.data) // 2
    ny, nx = series.scan_shape
    pattern = np.asarray(series.data[middle, 0])[ny // 2, nx // 2]
    step = angle_step_mrad(series)
    (below, above), (left, right) = ((-step * (n // 2 + 0.5), step * (n - n // 2 - 0.5)) for n in pattern.shape)
    top = float(pattern.max()) or 1.0
    least = 1 / series.electrons_per_position if np.isfinite(series.dose_e_per_A2) else DYNAMIC_RANGE * top
    picture = panel.imshow(
        np.maximum(pattern, 0.5 * least), cmap="magma", norm=LogNorm(min(0.5 * least, 0.9 * top), top), origin="lower",
        extent=(left, right, below, above), interpolation="nearest",
    )  # fmt: skip
    panel.add_patch(Circle((0, 0), series.optics.semiangle_mrad, fill=False, color="white", linewidth=0.5, linestyle=(0, (3, 3))))
    panel.set(xlabel="Angle x (mrad)", ylabel="Angle y (mrad)")
    bar = panel.figure.colorbar(picture, ax=panel, location="bottom", shrink=0.9, pad=0.02)
    bar.set_label("Fraction of the electrons", fontsize=6)
    bar.ax.tick_params(labelsize=5.5)
    bar.ax.xaxis.set_major_locator(LogLocator(numticks=4))
    bar.ax.xaxis.set_minor_formatter(NullFormatter())
