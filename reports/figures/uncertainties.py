"""Whether stated uncertainties are right: deviations of atoms over the standard deviations that their method states.

Normally distributed errors of which nothing but their size is known lie within one standard deviation in 68.3% of the coordinates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MplFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from benchsuite.contract.figure import Figure
from benchsuite.reports.figures.panels import by_condition, legend_below
from benchsuite.reports.figures.sweep_axis import log_axis
from benchsuite.reports.style import BLACK, LIGHT_GREY, WIDTH_IN, element_colors, new_figure, wrapped
from benchsuite.results import CellResult, Run

UNCERTAINTY = "uncertainty_pm"  # (n, 3): standard deviation along x, y, z
MOST_CELLS = 6  # of two panels each
REACH, BINS = 5.0, 40  # standard deviations; larger values count in the outermost bins
EXPECTED_PCT = 100 * math.erf(math.sqrt(0.5))
TOLERANCE_A = 1e-4  # within which the distances of a pair agree


@dataclass(frozen=True)
class Errors:
    """Matched atoms: found − true and the stated standard deviations along x, y, z (n, 3) in pm, and elements as traced (n,)."""

    deviation_pm: np.ndarray
    stated_pm: np.ndarray
    symbols: np.ndarray

    @property
    def within_pct(self) -> float:
        """Coordinates within one stated standard deviation, in per cent."""
        return 100 * float((np.abs(self.deviation_pm) <= self.stated_pm).mean())


def errors(cell: CellResult) -> Errors | None:
    """Return the errors of the matched atoms with a stated uncertainty; None where there are none.

    The pairs are those of the scores: either atom of a pair has their distance. The common shift, and the rotation where scores
    leave one out, is fitted to all pairs as it is there; deviations are along the axes of the traced atoms.
    """
    traced, truth = cell.traced(), cell.truth()
    if traced is None or truth is None or UNCERTAINTY not in traced.arrays or "displacement_A" not in truth.arrays:
        return None
    i, j = (np.argsort(atoms.arrays["displacement_A"], kind="stable") for atoms in (truth, traced))  # nan, of no pair, come last
    pairs = int(np.isfinite(truth.arrays["displacement_A"]).sum())
    i, j = i[:pairs], j[:pairs]
    if pairs == 0:
        return None
    found, true = (atoms - atoms.mean(axis=0) for atoms in (traced.positions[j], truth.positions[i]))
    rotation = _rotation(found, true) if float(cell.row.get("rotation_deg") or 0.0) > 0 else np.eye(3)
    deviation = found - true @ rotation
    stated = np.asarray(traced.arrays[UNCERTAINTY], dtype=np.float64)[j]
    same_pair = (
        np.abs(np.linalg.norm(deviation, axis=1) - truth.arrays["displacement_A"][i]) < TOLERANCE_A
    )  # not by chance equally far apart
    kept = same_pair & np.isfinite(stated).all(axis=1) & (stated > 0).all(axis=1)
    return Errors(100 * deviation[kept], stated[kept], np.array(traced.get_chemical_symbols())[j][kept]) if kept.any() else None


def _rotation(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the rotation with rotation @ found nearest to true, both (n, 3) about their means (Kabsch)."""
    from scipy.spatial.transform import Rotation

    return Rotation.align_vectors(true, found)[0].as_matrix()


class Uncertainties(Figure):
    title = "Calibration of stated uncertainties"
    caption = (
        "Deviations of matched atoms compared with the standard deviations that the method states. Left: their ratio along x, y "
        "and z, with values beyond five in the outermost bins. Right: the lengths of both vectors, one point for each atom."
    )
    needs = frozenset({"atoms", "truth"})
    order = 90

    def draw(self, run: Run) -> MplFigure | None:
        found = [
            (method, setting, of_cell)
            for setting, cells in by_condition(run)
            for method, cell in cells
            if (of_cell := errors(cell)) is not None
        ]
        if not found:
            return None
        picked = [found[k] for k in np.unique(np.linspace(0, len(found) - 1, MOST_CELLS).round().astype(int))]
        across = min(2, len(picked))
        rows = -(-len(picked) // across)
        figure = new_figure(WIDTH_IN, (1.75 if across > 1 else 2.4) * rows + 0.45)
        axes = figure.subplots(rows, 2 * across, squeeze=False).reshape(-1, 2)
        colors = element_colors(sorted({symbol for *_, of_cell in picked for symbol in of_cell.symbols.tolist()}))
        for (left, right), (method, setting, of_cell) in zip(axes, picked, strict=False):
            _histogram(left, of_cell)
            _points(right, of_cell, colors)
            share = f"{of_cell.within_pct:.1f}% within one\n({EXPECTED_PCT:.1f}% expected)"
            left.set_title(f"{wrapped(method, 30)}\n{share}", fontsize=6.5)
            right.set_title(f"{wrapped(setting, 30)}\n{len(of_cell.symbols)} atoms".strip(), fontsize=6.5)
        for panel in axes[len(picked) :].flat:
            panel.set_visible(False)
        _legend(figure, colors)
        if len(picked) < len(found):
            figure.suptitle(
                f"{len(picked)} of {len(found)} cells with stated uncertainties are shown, evenly spaced.", fontsize=6.5
            )
        return figure


def _histogram(axis: Axes, found: Errors) -> None:
    ratio = np.clip((found.deviation_pm / found.stated_pm).ravel(), -REACH, REACH)
    axis.hist(ratio, np.linspace(-REACH, REACH, BINS + 1).tolist(), density=True, color=LIGHT_GREY)
    x = np.linspace(-REACH, REACH, 201)
    axis.plot(x, np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi), color=BLACK, linewidth=0.9)
    axis.set(xlabel="Deviation / stated deviation", ylabel="Share of coordinates", xlim=(-REACH, REACH), yticks=[])


def _points(axis: Axes, found: Errors, colors: dict[str, str]) -> None:
    stated, deviation = (np.linalg.norm(values, axis=1) for values in (found.stated_pm, found.deviation_pm))
    for element, color in colors.items():
        of_element = found.symbols == element
        axis.scatter(stated[of_element], deviation[of_element], s=3, color=color, linewidth=0, alpha=0.7, rasterized=True)
    low, high = stated.min() / 1.5, 1.5 * stated.max()
    axis.plot([low, high], [low, high], color=BLACK, linestyle="--", linewidth=0.9)
    axis.set(xlim=(low, high), xlabel="Stated deviation (pm)", ylabel="Deviation (pm)")
    axis.margins(x=0)
    log_axis(axis, "x", low, high)
    values = [*deviation[deviation > 0], low, high]
    log_axis(axis, "y", min(values), max(values))


def _legend(figure: MplFigure, colors: dict[str, str]) -> None:
    round_dot: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": 3}
    handles = [
        Patch(color=LIGHT_GREY, label="ratio"),
        Line2D([], [], color=BLACK, linewidth=0.9, label="standard normal distribution"),
        *(Line2D([], [], color=color, label=element, **round_dot) for element, color in colors.items()),
        Line2D([], [], color=BLACK, linestyle="--", linewidth=0.9, label="deviation equal to the stated one"),
    ]
    legend_below(figure, handles)
