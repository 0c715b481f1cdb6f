"""What a local-orbital fit makes of its images and probes (after LOT Fig. 3 and Suppl. Figs. 1-2, nLOT Fig. 4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure as MplFigure

from benchsuite.contract.figure import Figure
from benchsuite.data import Fit
from benchsuite.reports.figures.panels import by_condition
from benchsuite.reports.style import VERMILLION, WIDTH_IN, new_figure, plain, wrapped
from benchsuite.results import CellResult, Run

MOST_FIGURES = 4
MOST_DEPTHS = 7  # shown of a probe
REACH_A = 2.5  # of a probe, from its centre
MOST_ROWS = 6


class DifferenceImages(Figure):
    title = "Measured and calculated images"
    caption = (
        "The least tilted image, the image calculated from the fitted atoms and probes, and their difference, as fractions of the "
        "incident electrons. R is the R-factor of this image."
    )
    reference = "Mao, Cui & Yu (2024), LOT, Fig. 3"
    order = 100

    def draw(self, run: Run) -> list[MplFigure]:
        figures = []
        for setting, cells in by_condition(run)[:MOST_FIGURES]:
            rows = [
                (method, fit.image_measured, fit.image_calculated)
                for method, fit in _fits(cells)
                if fit.image_measured is not None and fit.image_calculated is not None
            ][:MOST_ROWS]
            if rows:
                figures.append(_images(rows, setting))
        return figures


class ProbeSections(Figure):
    title = "Fitted probes at several depths"
    caption = (
        "Intensity of the probes at several depths, as they were initially and after the fit. Frames: the sharpest of each row."
    )
    reference = "Mao, Cui & Yu (2024), nLOT, Fig. 4"
    order = 110

    def draw(self, run: Run) -> list[MplFigure]:
        figures = list[MplFigure]()
        for setting, cells in by_condition(run):
            for method, fit in _fits(cells):
                changed = fit.probes is not None and not np.array_equal(fit.probes, np.asarray(fit.probes_initial))
                if changed and len(figures) < MOST_FIGURES:
                    figures.append(_sections(fit, ", ".join(part for part in (plain(method), setting) if part)))
        return figures


def _images(rows: list[tuple[str, np.ndarray, np.ndarray]], setting: str) -> MplFigure:
    figure = new_figure(WIDTH_IN, 2.1 * len(rows) + 0.3)
    axes = figure.subplots(len(rows), 3, squeeze=False)
    for row, (method, measured, calculated) in zip(axes, rows, strict=True):
        difference = measured - calculated
        top, limit = float(np.percentile(measured, 99.9)) or 1.0, float(np.abs(difference).max()) or 1.0
        r = float(np.abs(difference).sum() / np.abs(measured).sum())
        views = (
            (measured, "measured", 0.0, top, "gray"),
            (calculated, "calculated", 0.0, top, "gray"),
            (difference, f"difference, R = {r:.3f}", -limit, limit, "RdBu_r"),
        )
        for panel, (image, title, low, high, colors) in zip(row, views, strict=True):
            shown = panel.imshow(image, cmap=colors, vmin=low, vmax=high, origin="lower", interpolation="nearest")
            panel.set(xticks=[], yticks=[])
            panel.set_title(f"{plain(method)}: {title}", fontsize=6.5)
            bar = figure.colorbar(shown, ax=panel, shrink=0.8)
            bar.ax.tick_params(labelsize=5)
    figure.suptitle(wrapped(setting, 90), fontsize=7)
    return figure


def _sections(fit: Fit, title: str) -> MplFigure:
    depths, after, before = fit.probe_depths_A, fit.probes, fit.probes_initial
    assert depths is not None
    assert after is not None
    assert before is not None
    assert fit.probe_pixel_A is not None
    pixel = float(fit.probe_pixel_A)
    used = np.flatnonzero(np.abs(after - before).max(axis=(0, 2, 3)) > 0)
    chosen = used[np.unique(np.linspace(0, len(used) - 1, min(MOST_DEPTHS, len(used))).round().astype(int))]
    rows = [("initial", before[0])] if np.array_equal(before[0], before[-1]) else []
    if not rows:
        rows = [(f"section {number + 1}, initial", probes) for number, probes in enumerate(before)]
    rows += [(f"section {number + 1}, fitted" if len(after) > 1 else "fitted", probes) for number, probes in enumerate(after)]
    figure = new_figure(WIDTH_IN, WIDTH_IN / MOST_DEPTHS * len(rows) + 0.6)
    axes = figure.subplots(len(rows), len(chosen), squeeze=False)
    half, cut = after.shape[-1] // 2, int(np.ceil(REACH_A / pixel))
    for number, (line, (name, probes)) in enumerate(zip(axes, rows, strict=True)):
        window = probes[:, max(0, half - cut) : half + cut + 1, max(0, half - cut) : half + cut + 1]
        sharpness = (window[chosen] ** 2).sum(axis=(1, 2))
        for panel, k, sharp in zip(line, chosen, sharpness, strict=True):
            panel.imshow(window[k], cmap="magma", vmin=0, vmax=float(window[chosen].max()), origin="lower")
            panel.set(xticks=[], yticks=[])
            panel.set_title(f"z = {depths[k] / 10:.1f} nm".replace("-", "−") if number == 0 else "", fontsize=6)
            if sharp == sharpness.max():
                for spine in panel.spines.values():
                    spine.set(visible=True, color=VERMILLION, linewidth=1.5)
        line[0].set_ylabel(name, fontsize=6)
    figure.suptitle(wrapped(f"{title}; panels of {2 * REACH_A / 10:g} nm", 90), fontsize=7)
    return figure


def _fits(cells: Sequence[tuple[str, CellResult]]) -> list[tuple[str, Fit]]:
    """Return (method, fit) of those cells that have an answer."""
    results = [(method, cell.reconstruction()) for method, cell in cells]
    return [(method, result.fit) for method, result in results if result is not None]
