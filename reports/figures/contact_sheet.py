"""The tilt series itself: every image of each different series, with its tilt angle."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure as MplFigure

from benchsuite.contract.figure import Figure
from benchsuite.data import TiltSeries
from benchsuite.physics.detector import virtual_images
from benchsuite.reports.figures.panels import by_condition
from benchsuite.reports.style import WIDTH_IN, new_figure, plain, wrapped
from benchsuite.results import PREPROCESSED, CellResult, Run

COLUMNS = 10
MOST_IMAGES = 40
MOST_SHEETS = 6


class ContactSheet(Figure):
    title = "Tilt series"
    caption = "Images of each tilt series as it was recorded, with their tilt angles."
    order = 170

    def caption_for(self, run: Run) -> str:
        preprocessed = any(name.startswith(PREPROCESSED) for record in run.records.values() for name in record["keys"])
        return self.caption + (" Preprocessed series are shown as the last step left them." if preprocessed else "")

    def draw(self, run: Run) -> list[MplFigure]:
        sheets: dict[str, tuple[TiltSeries, str]] = {}
        for setting, cells in by_condition(run, failed=True):
            for _, cell in cells:
                for key, (series, note) in _series_of(cell, sheets).items():
                    if len(sheets) < MOST_SHEETS:
                        sheets[key] = series, "; ".join(part for part in (setting, note) if part)
        return [_sheet(series, title) for series, title in sheets.values()]


def _series_of(cell: CellResult, known: dict[str, tuple[TiltSeries, str]]) -> dict[str, tuple[TiltSeries, str]]:
    """The series of a cell that are not known yet, with a note on each, by their keys in the store."""
    keys = cell.run.records[cell.id]["keys"]
    steps = sum(name.startswith(PREPROCESSED) for name in keys)
    found = {}
    recorded, last = keys.get("series"), keys.get(f"{PREPROCESSED}{steps - 1}")
    if recorded is not None and recorded not in known and (series := cell.series()) is not None:
        outer = series.optics.semiangle_mrad / 2
        patterns = series.modality == "4dstem"
        found[recorded] = series, f"bright-field images of the patterns, 0 to {outer:g} mrad" if patterns else ""
    if last is not None and last not in known and len(made := cell.preprocessed()) == steps:
        found[last] = made[-1].series, f"preprocessed for the method “{plain(str(cell.row['reconstructor']))}”"
    return found


def _sheet(series: TiltSeries, title: str) -> MplFigure:
    images = series.data if series.modality != "4dstem" else virtual_images(series, 0.0, series.optics.semiangle_mrad / 2)
    images, rotations, step_A = np.asarray(images).mean(axis=1), series.rotations, series.scan_step_A
    shown = np.unique(np.linspace(0, len(images) - 1, min(len(images), MOST_IMAGES)).astype(int))
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    size = WIDTH_IN / COLUMNS
    figure = new_figure(max(2.5, size * columns), (size + 0.16) * rows + 0.5)
    axes = figure.subplots(rows, columns, squeeze=False)
    low, high = float(images.min()), float(np.percentile(images, 99.9))
    for panel, tilt in zip(axes.flat, shown, strict=False):
        panel.imshow(images[tilt], cmap="gray", origin="lower", vmin=low, vmax=high, interpolation="nearest")
        angle = np.rad2deg(np.arccos(np.clip((np.trace(rotations[tilt]) - 1) / 2, -1, 1)))
        sign = -1 if rotations[tilt][0, 2] < 0 else 1
        panel.set_title(f"{sign * angle:.0f}°".replace("-", "−"), fontsize=6, pad=1.5)
    for panel in axes.flat:
        panel.set_axis_off()
    counts = "" if len(shown) == len(images) else f"; {len(shown)} of {len(images)} images"
    brightest = f"{high:.2g} rad" if series.modality == "phase" else f"{100 * high:.2g}% of the incident electrons"
    field = f"field of view {images.shape[2] * step_A / 10:.3g} nm; brightest pixels {brightest}{counts}"
    figure.suptitle("\n".join(part for part in (wrapped(title, 100), field) if part), fontsize=7)
    return figure
