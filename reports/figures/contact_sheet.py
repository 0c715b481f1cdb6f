"""The tilt series itself: every image of the first cell of each point of the sweep, with its tilt angle."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from benchsuite.results import Run
from reports.figures.panels import first_cells
from reports.groups import condition_identity, conditions
from reports.labels import condition
from reports.style import WIDTH_IN, new_figure, styled, wrapped

COLUMNS = 10
MOST_IMAGES = 40
MOST_SHEETS = 6


@styled
def contact_sheet(run: Run) -> dict[str, Figure]:
    """Return one sheet per different series, with one grey scale per sheet."""
    cells, figures, seen = first_cells(run), dict[str, Figure](), set[str]()
    for point in conditions(run):
        for (_, identity), cell_id in cells.items():
            key = run.records[cell_id]["keys"].get("series")
            if identity != condition_identity(point) or key is None or key in seen or len(figures) >= MOST_SHEETS:
                continue
            seen.add(key)
            series = run.cell(cell_id).series()
            if series is None:
                continue
            slug = "contact_sheet" if not figures else f"contact_sheet_{len(figures) + 1}"
            title, images = condition(point), series.data
            if series.modality == "4dstem":
                outer = series.optics.semiangle_mrad / 2
                images = series.virtual_images(0.0, outer)
                title = f"{title}; bright-field images of the patterns, 0 to {outer:g} mrad".removeprefix("; ")
            figures[slug] = _sheet(images.mean(axis=1), series.rotations, series.scan_step_A, title)
    return figures


def _sheet(images: np.ndarray, rotations: np.ndarray, step_A: float, title: str) -> Figure:
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
    field = f"field of view {images.shape[2] * step_A / 10:.3g} nm, brightest {100 * high:.2g}% of the incident electrons{counts}"
    figure.suptitle("\n".join(part for part in (wrapped(title, 100), field) if part), fontsize=7)
    return figure
