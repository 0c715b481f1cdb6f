"""The tilt series itself: every image of the first cell of each point of the sweep, with its tilt angle."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from benchsuite.data import TiltSeries
from benchsuite.physics.detector import virtual_images
from benchsuite.reports.figures.panels import first_cells
from benchsuite.reports.groups import condition_identity, conditions
from benchsuite.reports.labels import condition
from benchsuite.reports.style import WIDTH_IN, new_figure, plain, styled, wrapped
from benchsuite.results import PREPROCESSED, Run

COLUMNS = 10
MOST_IMAGES = 40
MOST_SHEETS = 6


@styled
def contact_sheet(run: Run) -> dict[str, Figure]:
    """Return one sheet per different series, as recorded and as the last step before a reconstruction left it."""
    cells, figures, seen = first_cells(run), dict[str, Figure](), set[str]()
    for point in conditions(run):
        for (_, identity), cell_id in cells.items():
            if identity != condition_identity(point):
                continue
            for key, (series, note) in _series_of(run, cell_id).items():
                if key in seen or len(figures) >= MOST_SHEETS:
                    continue
                seen.add(key)
                slug = "contact_sheet" if not figures else f"contact_sheet_{len(figures) + 1}"
                title = "; ".join(part for part in (condition(point), note) if part)
                figures[slug] = _sheet(series, title)
    return figures


def _series_of(run: Run, cell_id: str) -> dict[str, tuple[TiltSeries, str]]:
    """The series of a cell with what to say of them, by their keys in the store."""
    cell, keys = run.cell(cell_id), run.records[cell_id]["keys"]
    found = {}
    series, steps = cell.series(), cell.preprocessed()
    if series is not None:
        outer = series.optics.semiangle_mrad / 2
        patterns = series.modality == "4dstem"
        found[keys["series"]] = series, f"bright-field images of the patterns, 0 to {outer:g} mrad" if patterns else ""
    if steps:
        found[keys[f"{PREPROCESSED}{len(steps) - 1}"]] = (
            steps[-1].series,
            f"preprocessed for the method “{plain(str(cell.row['reconstructor']))}”",
        )
    return found


def _sheet(series: TiltSeries, title: str) -> Figure:
    images = series.data if series.modality != "4dstem" else virtual_images(series, 0.0, series.optics.semiangle_mrad / 2)
    images, rotations, step_A = np.asarray(images).mean(axis=1), series.rotations, series.scan_step_A
    shown = np.unique(np.linspace(0, len(images) - 1, min(len(images), MOST_IMAGES)).astype(int))
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    size = WIDTH_IN / COLUMNS
    figure = new_figure(max(2.5, size * columns), (size + 0.16) * rows + 0.5)
    axes = figure.subplots(rows, columns, squeeze=False)
    low, high = float(images.min()), float(np.percentile(images, 99.9))
    for axis, tilt in zip(axes.flat, shown, strict=False):
        axis.imshow(images[tilt], cmap="gray", origin="lower", vmin=low, vmax=high, interpolation="nearest")
        angle = np.rad2deg(np.arccos(np.clip((np.trace(rotations[tilt]) - 1) / 2, -1, 1)))
        sign = -1 if rotations[tilt][0, 2] < 0 else 1
        axis.set_title(f"{sign * angle:.0f}°".replace("-", "−"), fontsize=6, pad=1.5)
    for axis in axes.flat:
        axis.set_axis_off()
    counts = "" if len(shown) == len(images) else f"; {len(shown)} of {len(images)} images"
    brightest = f"{high:.2g} rad" if series.modality == "phase" else f"{100 * high:.2g}% of the incident electrons"
    field = f"field of view {images.shape[2] * step_A / 10:.3g} nm, brightest {brightest}{counts}"
    figure.suptitle("\n".join(part for part in (wrapped(title, 100), field) if part), fontsize=7)
    return figure
