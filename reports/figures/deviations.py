"""How far atoms are from where they should be: over all of them, and against their depth in the untilted specimen.

After Mao, Cui & Yu (2024): LOT Fig. 4 (distribution), nLOT Fig. 3 A-C (box plots by depth) and D (histograms at two depths).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from benchsuite.reports.figures.panels import MethodCurves, MethodGrid
from benchsuite.reports.style import BLUE, GREY, ORANGE, MethodStyle, plain, say_instead
from benchsuite.results import CellResult, Run

DEPTH_STEP_A = 4.0
FEWEST_ATOMS = 5  # of a depth that make a box
COMPARED_DEPTHS = (0.0, 0.75)  # of the half-thickness
BIN_COUNTS = (8, 40)  # fewest and most
NO_ATOMS = "No true atom was found."
AT_DEPTHS = {"|z| < 0.2 nm": GREY, "|z| within 0.2 nm of 75% of the half-thickness": ORANGE}


class DeviationDistribution(MethodCurves):
    title = "Distribution of deviations"
    caption = "Distribution of the distances between traced and true atoms, after their common shift is removed."
    needs = frozenset({"atoms", "truth"})
    order = 60
    x_label, y_label, share_y = "Deviation (pm)", "Atoms per pm (%)", False

    def curve(self, axes: Axes, cell: CellResult, style: MethodStyle, method: str) -> bool:
        _, deviation = deviations(cell)
        if len(deviation) < 2:
            return False
        bins = int(np.clip(np.sqrt(len(deviation)), *BIN_COUNTS))
        edges = np.linspace(0, float(np.percentile(deviation, 99.5)) * 1.1 or 1.0, bins + 1)
        share, _ = np.histogram(deviation, edges, density=True)
        axes.plot((edges[1:] + edges[:-1]) / 2, 100 * share, color=style.color, linestyle=style.linestyle, label=plain(method))
        return True

    def finish(self, axes: Axes) -> None:
        axes.set(xlim=(0, None), ylim=(0, None))


class DeviationByDepth(MethodGrid):
    title = "Deviation against depth"
    caption = (
        "Distances between traced and true atoms against the depth z in the untilted specimen, in intervals of 4 Å. Boxes: "
        "quartiles; lines in them: medians; whiskers: 5th and 95th percentile."
    )
    reference = "Mao, Cui & Yu (2024), nLOT, Fig. 3"
    needs = frozenset({"atoms", "truth"})
    order = 70
    panel_height_in = 1.6

    def panel(self, axes: Axes, cell: CellResult) -> None:
        depth, deviation = deviations(cell)
        if len(depth) == 0:
            say_instead(axes, NO_ATOMS, 4)
            return
        edges = intervals(depth)
        groups = [(0.05 * (a + b), deviation[(depth >= a) & (depth < b)]) for a, b in itertools.pairwise(edges)]
        kept = [(place, values) for place, values in groups if len(values) >= FEWEST_ATOMS]
        if not kept:
            say_instead(axes, f"There are fewer than {FEWEST_ATOMS} atoms in every 4 Å of depth.", 4)
            return
        axes.boxplot(
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
        axes.set(xlabel="z (nm)", ylabel="Deviation (pm)", ylim=(0, None))


class DeviationAtDepths(MethodGrid):
    title = "Deviation at two depths"
    caption = "Distances between traced and true atoms in the middle of the specimen and nearer to its surfaces."
    reference = "Mao, Cui & Yu (2024), nLOT, Fig. 3"
    needs = frozenset({"atoms", "truth"})
    order = 80
    panel_height_in = 1.5

    def panel(self, axes: Axes, cell: CellResult) -> None:
        depth, deviation = deviations(cell)
        if len(depth) == 0:
            say_instead(axes, NO_ATOMS, 4)
            return
        chosen = _at_depths(depth, deviation)
        top = float(np.percentile(np.concatenate(chosen), 99)) if any(map(len, chosen)) else 1.0
        edges = np.linspace(0, max(top, 1e-3), 25).tolist()
        for values, (label, color) in zip(chosen, AT_DEPTHS.items(), strict=True):
            if len(values):
                axes.hist(values, edges, color=color, alpha=0.55, label=label, weights=np.full(len(values), 100 / len(values)))
        axes.set(xlabel="Deviation (pm)", ylabel="Atoms (%)")

    def legend(self, run: Run) -> Sequence[Artist]:
        return [Patch(color=color, alpha=0.55, label=label) for label, color in AT_DEPTHS.items()]


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


def _at_depths(depth: np.ndarray, deviation: np.ndarray) -> list[np.ndarray]:
    """Return the deviations around the two depths, on both sides of the middle."""
    half = np.abs(depth).max()
    return [deviation[np.abs(np.abs(depth) - part * half) <= DEPTH_STEP_A / 2] for part in COMPARED_DEPTHS]
