"""Whether stated uncertainties are right: deviations of atoms over the standard deviations that their method states.

Normally distributed errors of which nothing but their size is known lie within one standard deviation in 68.3% of the coordinates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from benchsuite.reports.figures.panels import first_cells
from benchsuite.reports.figures.sweep_axis import log_axis
from benchsuite.reports.groups import condition_identity, conditions, methods
from benchsuite.reports.labels import condition
from benchsuite.reports.style import BLACK, LIGHT_GREY, WIDTH_IN, element_colors, legend_columns, new_figure, styled, wrapped
from benchsuite.results import CellResult, Run

STATED = "uncertainty_pm"  # (n, 3): standard deviation along x, y, z
MOST = 6  # cells, of two panels each
REACH, BINS = 5.0, 40  # standard deviations; what lies farther off counts in the outermost bins
EXPECTED_PCT = 100 * math.erf(math.sqrt(0.5))
SAME_A = 1e-4  # distances of a pair agree as well as that


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
    if traced is None or truth is None or STATED not in traced.arrays or "displacement_A" not in truth.arrays:
        return None
    i, j = (np.argsort(atoms.arrays["displacement_A"], kind="stable") for atoms in (truth, traced))  # nan, of no pair, come last
    pairs = int(np.isfinite(truth.arrays["displacement_A"]).sum())
    i, j = i[:pairs], j[:pairs]
    if pairs == 0:
        return None
    found, true = (atoms - atoms.mean(axis=0) for atoms in (traced.positions[j], truth.positions[i]))
    rotation = _rotation(found, true) if float(cell.row.get("rotation_deg") or 0.0) > 0 else np.eye(3)
    deviation = found - true @ rotation
    stated = np.asarray(traced.arrays[STATED], dtype=np.float64)[j]
    own = np.abs(np.linalg.norm(deviation, axis=1) - truth.arrays["displacement_A"][i]) < SAME_A  # not by chance equally far apart
    kept = own & np.isfinite(stated).all(axis=1) & (stated > 0).all(axis=1)
    return Errors(100 * deviation[kept], stated[kept], np.array(traced.get_chemical_symbols())[j][kept]) if kept.any() else None


def _rotation(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the rotation with rotation @ found nearest to true, both (n, 3) about their means (Kabsch)."""
    from scipy.spatial.transform import Rotation

    return Rotation.align_vectors(true, found)[0].as_matrix()


@styled
def uncertainties(run: Run) -> dict[str, Figure]:
    """Two panels per method and condition that states uncertainties; nothing where none does."""
    shown = _chosen(run)
    if not shown:
        return {}
    picked = [shown[k] for k in np.unique(np.linspace(0, len(shown) - 1, MOST).round().astype(int))]
    across = min(2, len(picked))
    rows = -(-len(picked) // across)
    figure = new_figure(WIDTH_IN, (1.75 if across > 1 else 2.4) * rows + 0.45)
    axes = figure.subplots(rows, 2 * across, squeeze=False).reshape(-1, 2)
    colors = element_colors(sorted({symbol for *_, found in picked for symbol in found.symbols.tolist()}))
    for (left, right), (method, setting, found) in zip(axes, picked, strict=False):
        _histogram(left, found)
        _dots(right, found, colors)
        told = f"{found.within_pct:.1f}% within one\n({EXPECTED_PCT:.1f}% expected)"
        left.set_title(f"{wrapped(method, 30)}\n{told}", fontsize=6.5)
        right.set_title(f"{wrapped(setting, 30)}\n{len(found.symbols)} atoms".strip(), fontsize=6.5)
    for axis in axes[len(picked) :].flat:
        axis.set_visible(False)
    _legend(figure, colors)
    if len(picked) < len(shown):
        figure.suptitle(f"{len(picked)} of {len(shown)} cells with stated uncertainties, evenly chosen", fontsize=6.5)
    return {"uncertainties": figure}


def _chosen(run: Run) -> list[tuple[str, str, Errors]]:
    """Return (method, condition, errors) of the cell shown for each of them that states uncertainties."""
    cells, found = first_cells(run), list[tuple[str, str, Errors]]()
    for point in conditions(run):
        for method in methods(run):
            cell_id = cells.get((method, condition_identity(point)))
            if cell_id is None or run.cell(cell_id).row["status"] != "ok":
                continue
            of_cell = errors(run.cell(cell_id))
            if of_cell is not None:
                found.append((method, condition(point), of_cell))
    return found


def _histogram(axis: Axes, found: Errors) -> None:
    ratio = np.clip((found.deviation_pm / found.stated_pm).ravel(), -REACH, REACH)
    axis.hist(ratio, np.linspace(-REACH, REACH, BINS + 1).tolist(), density=True, color=LIGHT_GREY)
    x = np.linspace(-REACH, REACH, 201)
    axis.plot(x, np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi), color=BLACK, linewidth=0.9)
    axis.set(xlabel="Deviation / stated", ylabel="Share of coordinates", xlim=(-REACH, REACH), yticks=[])


def _dots(axis: Axes, found: Errors, colors: dict[str, str]) -> None:
    stated, deviation = (np.linalg.norm(values, axis=1) for values in (found.stated_pm, found.deviation_pm))
    for element, color in colors.items():
        of_element = found.symbols == element
        axis.scatter(stated[of_element], deviation[of_element], s=3, color=color, linewidth=0, alpha=0.7, rasterized=True)
    low, high = stated.min() / 1.5, 1.5 * stated.max()
    axis.plot([low, high], [low, high], color=BLACK, linestyle="--", linewidth=0.9)
    axis.set(xlim=(low, high), xlabel="Stated (pm)", ylabel="Deviation (pm)")
    axis.margins(x=0)
    log_axis(axis, "x", low, high)
    seen = [*deviation[deviation > 0], low, high]
    log_axis(axis, "y", min(seen), max(seen))


def _legend(figure: Figure, colors: dict[str, str]) -> None:
    round_dot: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": 3}
    handles = [
        Patch(color=LIGHT_GREY, label="found"),
        Line2D([], [], color=BLACK, linewidth=0.9, label="standard normal distribution"),
        *(Line2D([], [], color=color, label=element, **round_dot) for element, color in colors.items()),
        Line2D([], [], color=BLACK, linestyle="--", linewidth=0.9, label="deviation as stated"),
    ]
    columns = legend_columns(figure.get_figwidth(), [str(handle.get_label()) for handle in handles])
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)
