"""What a local-orbital fit makes of its images and probes (after LOT Fig. 3 and Suppl. Figs. 1-2, nLOT Fig. 4)."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from benchsuite.data import Fit
from benchsuite.reports.figures.panels import first_cells
from benchsuite.reports.groups import condition_identity, conditions
from benchsuite.reports.labels import condition
from benchsuite.reports.style import VERMILLION, WIDTH_IN, new_figure, plain, styled, wrapped
from benchsuite.results import Run

MOST_FIGURES = 4
SECTIONS = 7  # depths shown of a probe
REACH_A = 2.5  # of a probe, from its centre
MOST_ROWS = 6


@styled
def difference_images(run: Run) -> dict[str, Figure]:
    """Measured, calculated and difference image of the least tilted view, a row per method; one figure per setting."""
    figures: dict[str, Figure] = {}
    for point in conditions(run)[:MOST_FIGURES]:
        rows = [
            (method, fit.image_measured, fit.image_calculated)
            for method, fit in _fits(run, point)
            if fit.image_measured is not None and fit.image_calculated is not None
        ][:MOST_ROWS]
        if not rows:
            continue
        figure = new_figure(WIDTH_IN, 2.1 * len(rows) + 0.3)
        axes = figure.subplots(len(rows), 3, squeeze=False)
        for row, (method, measured, calculated) in zip(axes, rows, strict=True):
            top = float(np.percentile(measured, 99.9)) or 1.0
            r = float(np.abs(measured - calculated).sum() / np.abs(measured).sum())
            views = ((measured, "measured"), (calculated, "calculated"), (measured - calculated, f"difference, R = {r:.3f}"))
            for axis, (image, title) in zip(row, views, strict=True):
                difference = title.startswith("difference")
                limit = float(np.abs(measured - calculated).max()) or 1.0
                low, high, colors = (-limit, limit, "RdBu_r") if difference else (0.0, top, "gray")
                shown = axis.imshow(image, cmap=colors, vmin=low, vmax=high, origin="lower", interpolation="nearest")
                axis.set(xticks=[], yticks=[])
                axis.set_title(f"{plain(method)}: {title}", fontsize=6.5)
                bar = figure.colorbar(shown, ax=axis, shrink=0.8)
                bar.ax.tick_params(labelsize=5)
        figure.suptitle(wrapped(condition(point), 90), fontsize=7)
        figures["difference_images" if not figures else f"difference_images_{len(figures) + 1}"] = figure
    return figures


@styled
def probe_sections(run: Run) -> dict[str, Figure]:
    """Probes at several depths as they began and as they ended, one row per focus; the sharpest of each row is framed."""
    figures: dict[str, Figure] = {}
    for point in conditions(run):
        for method, fit in _fits(run, point):
            changed = fit.probes is not None and not np.array_equal(fit.probes, np.asarray(fit.probes_initial))
            if changed and len(figures) < MOST_FIGURES:
                title = ", ".join(part for part in (plain(method), condition(point)) if part)
                slug = "probe_sections" if not figures else f"probe_sections_{len(figures) + 1}"
                figures[slug] = _sections(fit, title)
    return figures


def _sections(fit: Fit, title: str) -> Figure:
    depths, after, before = fit.probe_depths_A, fit.probes, fit.probes_initial
    assert depths is not None
    assert after is not None
    assert before is not None
    assert fit.probe_pixel_A is not None
    pixel = float(fit.probe_pixel_A)
    used = np.flatnonzero(np.abs(after - before).max(axis=(0, 2, 3)) > 0)
    chosen = used[np.unique(np.linspace(0, len(used) - 1, min(SECTIONS, len(used))).round().astype(int))]
    rows = [("initial", before[0])] if np.array_equal(before[0], before[-1]) else []
    if not rows:
        rows = [(f"section {number + 1}, initial", probes) for number, probes in enumerate(before)]
    rows += [(f"section {number + 1}, fitted" if len(after) > 1 else "fitted", probes) for number, probes in enumerate(after)]
    figure = new_figure(WIDTH_IN, WIDTH_IN / SECTIONS * len(rows) + 0.6)
    axes = figure.subplots(len(rows), len(chosen), squeeze=False)
    half, cut = after.shape[-1] // 2, int(np.ceil(REACH_A / pixel))
    for number, (line, (name, probes)) in enumerate(zip(axes, rows, strict=True)):
        window = probes[:, max(0, half - cut) : half + cut + 1, max(0, half - cut) : half + cut + 1]
        sharpness = (window[chosen] ** 2).sum(axis=(1, 2))
        for axis, k, sharp in zip(line, chosen, sharpness, strict=True):
            axis.imshow(window[k], cmap="magma", vmin=0, vmax=float(window[chosen].max()), origin="lower")
            axis.set(xticks=[], yticks=[])
            axis.set_title(f"z = {depths[k] / 10:.1f} nm".replace("-", "−") if number == 0 else "", fontsize=6)
            if sharp == sharpness.max():
                for spine in axis.spines.values():
                    spine.set(visible=True, color=VERMILLION, linewidth=1.5)
        line[0].set_ylabel(name, fontsize=6)
    figure.suptitle(wrapped(f"{title}; panels of {2 * REACH_A / 10:g} nm", 90), fontsize=7)
    return figure


def _fits(run: Run, point: dict[str, object]) -> list[tuple[str, Fit]]:
    """Return (method, fit) of the cells shown for one setting."""
    found = []
    for (method, identity), cell_id in first_cells(run).items():
        if identity == condition_identity(point) and run.cell(cell_id).row["status"] == "ok":
            result = run.cell(cell_id).reconstruction()
            if result is not None:
                found.append((method, result.fit))
    return found
