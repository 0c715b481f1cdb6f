"""How far atoms are from where they should be: over all of them, and against their depth in the untilted specimen.

After Mao, Cui & Yu (2024): LOT Fig. 4 (distribution), nLOT Fig. 3 A-C (box plots by depth) and D (histograms at two depths).
"""

from __future__ import annotations

import itertools

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from benchsuite.reports.figures.curves import panels
from benchsuite.reports.figures.panels import method_grid
from benchsuite.reports.style import BLUE, GREY, ORANGE, MethodStyle, plain, say_instead
from benchsuite.results import CellResult, Run

DEPTH_STEP_A = 4.0
FEWEST = 5  # atoms of a depth that make a box
DEPTHS = (0.0, 0.75)  # of the half-thickness, where histograms are compared
BINS = (8, 40)  # fewest and most


def deviation_by_depth(run: Run) -> dict[str, Figure]:
    """Box plots of the deviation in intervals of 4 Å of z: median, quartiles, 5th and 95th percentile."""
    return method_grid(run, "deviation_by_depth", _boxes, 1.6, lambda _figure, _run: None)


def deviation_at_depths(run: Run) -> dict[str, Figure]:
    """Histograms of the deviation in the middle of the specimen and at three quarters of the way to its surface."""
    return method_grid(run, "deviation_at_depths", _histograms, 1.5, _histogram_legend)


def deviation_distribution(run: Run) -> dict[str, Figure]:
    """Distribution of the deviations, all methods together."""
    return panels(run, "deviation_distribution", _distribution, "Deviation (pm)", "Atoms per pm (%)", _from_zero, same_y=False)


def deviations(cell: CellResult) -> tuple[np.ndarray, np.ndarray]:
    """Return (z in Å, deviation in pm) of the atoms that were found."""
    truth = cell.truth()
    if truth is None or "displacement_A" not in truth.arrays:
        return np.empty(0), np.empty(0)
    deviation = 100 * truth.arrays["displacement_A"]
    found = np.isfinite(deviation)
    return truth.positions[found, 2], deviation[found]


def intervals(depth: np.ndarray) -> np.ndarray:
    """Return the edges of 4 Å intervals, one of them centred at 0, that hold all depths."""
    reach = DEPTH_STEP_A * (np.ceil(np.abs(depth).max() / DEPTH_STEP_A - 0.5) + 0.5)
    return np.arange(-reach, reach + DEPTH_STEP_A / 2, DEPTH_STEP_A)


def _boxes(axis: Axes, cell: CellResult) -> None:
    depth, deviation = deviations(cell)
    if len(depth) == 0:
        say_instead(axis, "no atom was found", 4)
        return
    edges = intervals(depth)
    groups = [(0.05 * (a + b), deviation[(depth >= a) & (depth < b)]) for a, b in itertools.pairwise(edges)]
    kept = [(place, values) for place, values in groups if len(values) >= FEWEST]
    if not kept:
        say_instead(axis, f"fewer than {FEWEST} atoms in every 4 Å of depth", 4)
        return
    axis.boxplot(
        [values for _, values in kept],
        positions=[place for place, _ in kept],
        widths=0.07 * DEPTH_STEP_A,
        whis=(5, 95),
        showfliers=False,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": "#CFE3F2", "edgecolor": BLUE, "linewidth": 0.5},
        whiskerprops={"color": BLUE, "linewidth": 0.5},
        capprops={"color": BLUE, "linewidth": 0.5},
        medianprops={"color": ORANGE, "linewidth": 1.0},
    )
    axis.set(xlabel="z (nm)", ylabel="Deviation (pm)", ylim=(0, None))


def _histograms(axis: Axes, cell: CellResult) -> None:
    depth, deviation = deviations(cell)
    if len(depth) == 0:
        say_instead(axis, "no atom was found", 4)
        return
    chosen = _at_depths(depth, deviation)
    top = float(np.percentile(np.concatenate(chosen), 99)) if any(map(len, chosen)) else 1.0
    edges = np.linspace(0, max(top, 1e-3), 25).tolist()
    for values, color in zip(chosen, (GREY, ORANGE), strict=True):
        if len(values):
            axis.hist(values, edges, color=color, alpha=0.55, weights=np.full(len(values), 100 / len(values)))
    axis.set(xlabel="Deviation (pm)", ylabel="Atoms (%)")


def _at_depths(depth: np.ndarray, deviation: np.ndarray) -> list[np.ndarray]:
    """Return the deviations around the two depths, on both sides of the middle."""
    half = np.abs(depth).max()
    return [deviation[np.abs(np.abs(depth) - part * half) <= DEPTH_STEP_A / 2] for part in DEPTHS]


def _histogram_legend(figure: Figure, _run: Run) -> None:
    handles = [
        Patch(color=GREY, alpha=0.55, label="|z| < 0.2 nm"),
        Patch(color=ORANGE, alpha=0.55, label="|z| at 75% of the half-thickness ± 0.2 nm"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)


def _distribution(axis: Axes, cell: CellResult, style: MethodStyle, method: str) -> bool:
    _, deviation = deviations(cell)
    if len(deviation) < 2:
        return False
    bins = int(np.clip(np.sqrt(len(deviation)), *BINS))
    edges = np.linspace(0, float(np.percentile(deviation, 99.5)) * 1.1 or 1.0, bins + 1)
    share, _ = np.histogram(deviation, edges, density=True)
    axis.plot((edges[1:] + edges[:-1]) / 2, 100 * share, color=style.color, linestyle=style.linestyle, label=plain(method))
    return True


def _from_zero(axis: Axes) -> None:
    axis.set(xlim=(0, None), ylim=(0, None))
