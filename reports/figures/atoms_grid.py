"""Traced atoms: intensity histograms by element and outcome, and central slices with the atoms on them (after Lee et al. 2023)."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from benchsuite.data import Volume
from benchsuite.reports.figures.panels import MethodGrid
from benchsuite.reports.style import GREY, VERMILLION, element_colors, say_instead
from benchsuite.reports.traced_atoms import (
    CORRECT,
    LARGEST_REACH_A,
    NON_ATOM,
    SLICE_A,
    element_name,
    intensity_layers,
    scale_bar_A,
    slice_of,
    slice_of_atoms,
)
from benchsuite.results import CellResult, Run

MISSED = "missed atom"
HATCH = "/////"


class HistogramGrid(MethodGrid):
    title = "Intensities of the traced atoms"
    caption = (
        "Histograms of the intensities of the traced atoms, relative to their 99.5th percentile. An intensity is summed over 5×5×5 "
        "voxels, or is the fitted one where a method reconstructs atoms."
    )
    reference = "Lee et al. (2023)"
    needs = frozenset({"atoms"})
    order = 20
    panel_height_in = 1.45

    def caption_for(self, run: Run) -> str:
        hatched = "" if run.without_truth else " Hatched: false positives and misclassified atoms."
        return f"{self.caption}{hatched} Grey: peaks classified as non-atoms."

    def panel(self, axes: Axes, cell: CellResult) -> None:
        traced = cell.traced()
        if traced is None or len(traced) == 0 or "intensity" not in traced.arrays:
            say_instead(
                axes, "No atoms were traced." if traced is None or len(traced) == 0 else "The atoms have no intensities.", 4
            )
            return
        edges, layers = intensity_layers(traced, elements(cell.run))
        bottom = np.zeros(len(edges) - 1)
        for name, color, hatched, counts in layers:
            if not counts.any():
                continue
            style: dict[str, Any] = (
                {"facecolor": "white", "edgecolor": color, "hatch": HATCH} if hatched else {"facecolor": color, "edgecolor": "none"}
            )
            axes.bar(edges[:-1], counts, np.diff(edges), bottom=bottom, align="edge", linewidth=0.4, label=name, **style)
            bottom += counts
        axes.set_xlabel("Intensity (relative)")
        axes.set_ylabel("Number of atoms")

    def legend(self, run: Run) -> list[Artist]:
        handles: list[Artist] = []
        for element, color in element_colors(elements(run)).items():
            handles.append(Patch(facecolor=color, label=element_name(element, run.without_truth)))
            handles.append(Patch(facecolor="white", edgecolor=color, hatch=HATCH, label=f"incorrect {element}"))
        return [*handles, Patch(facecolor=GREY, label=NON_ATOM)]


class SliceGrid(MethodGrid):
    title = "Central slices with traced atoms"
    caption = "Slices 2 Å thick through the centre of each reconstruction."
    reference = "Lee et al. (2023)"
    needs = frozenset({"atoms"})
    order = 10
    panel_height_in = 1.75

    def caption_for(self, run: Run) -> str:
        if run.without_truth:
            return f"{self.caption} Circles: traced atoms."
        return f"{self.caption} Circles: correct atoms; triangles: false positives and misclassified atoms; crosses: missed atoms."

    def panel(self, axes: Axes, cell: CellResult) -> None:
        result, truth, traced = cell.reconstruction(), cell.truth(), cell.traced()
        known = truth if truth is not None else traced
        if result is None or traced is None or known is None:
            say_instead(axes, "There is no result.", 4)
            return
        reach = min(_extent(known, result.volume), LARGEST_REACH_A)
        if result.volume is not None:
            image, (left, low), pixel = slice_of(result.volume, 2, 0, 1)
            reach = min(reach, left + image.shape[1] * pixel)
        else:
            image, (left, low), pixel = slice_of_atoms(traced.positions, traced.arrays.get("intensity"), reach, 2, 0, 1)
        extent = (left, left + image.shape[1] * pixel, low, low + image.shape[0] * pixel)
        top = float(np.percentile(image, 99.7)) or 1.0
        axes.imshow(image, cmap="gray", origin="lower", extent=extent, vmin=0, vmax=top, interpolation="nearest")
        colors = element_colors(elements(cell.run))
        _mark(axes, traced, colors, cell.run)
        if truth is not None:
            shift = [float(cell.row[f"shift_{name}_A"]) for name in "xyz"]
            missing = truth[truth.arrays["outcome"] == "missing"] if len(truth) else truth
            lost = missing.positions + np.where(np.isfinite(shift), shift, 0.0)
            lost = lost[np.abs(lost[:, 2]) <= SLICE_A / 2]
            if len(lost):
                axes.scatter(lost[:, 0], lost[:, 1], s=14, marker="x", color=VERMILLION, linewidth=0.9, label=MISSED)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal")
        _scale_bar(axes, reach)

    def legend(self, run: Run) -> list[Artist]:
        handles: list[Artist] = []
        hollow: dict[str, Any] = {"linestyle": "none", "markerfacecolor": "none", "markersize": 4.5}
        for element, color in element_colors(elements(run)).items():
            handles.append(Line2D([], [], marker="o", color=color, label=element_name(element, run.without_truth), **hollow))
            handles.append(Line2D([], [], marker="^", color=color, label=f"incorrect {element}", **hollow))
        return [*handles, Line2D([], [], marker="x", color=VERMILLION, label=MISSED, linestyle="none", markersize=4.5)]


def elements(run: Run) -> list[str]:
    """Return the elements that the run tells apart, over all its scenarios' variants."""
    found = [str(name).removeprefix("recall_").removesuffix("_pct") for name in run.table if str(name).startswith("recall_")]
    wanted = list(run.scenario.get("analysis", {}).get("species", []))
    return [*wanted, *(element for element in found if element not in wanted)]


def _extent(atoms: Atoms, volume: Volume | None) -> float:
    """How far from the centre there is something to show."""
    if len(atoms):
        return float(np.abs(atoms.positions[:, :2]).max()) + 2.0
    return LARGEST_REACH_A if volume is None else 0.5 * volume.voxel_A * min(volume.data.shape[1:])


def _mark(axes: Axes, atoms: Atoms, colors: dict[str, str], run: Run) -> None:
    if len(atoms) == 0:
        return
    positions = atoms.positions
    near = np.abs(positions[:, 2]) <= SLICE_A / 2
    symbols = np.array(atoms.get_chemical_symbols(), dtype="U2")
    outcome = atoms.arrays["outcome"]
    for element, color in colors.items():
        plain = np.isin(outcome, CORRECT)
        false = ~plain & (outcome != "non_atom")
        for chosen, marker, name in ((plain, "o", element_name(element, run.without_truth)), (false, "^", f"incorrect {element}")):
            at = positions[near & chosen & (symbols == element)]
            if len(at):
                style: dict[str, Any] = {"marker": marker, "facecolors": "none", "edgecolors": color, "label": name}
                axes.scatter(at[:, 0], at[:, 1], s=13, linewidth=0.8, **style)


def _scale_bar(axes: Axes, reach: float) -> None:
    length = scale_bar_A(reach)
    x, y = -reach + 0.08 * reach, -reach + 0.1 * reach
    axes.plot([x, x + length], [y, y], color="white", linewidth=2, solid_capstyle="butt")
    text = f"{length / 10:g} nm"
    axes.text(x + length / 2, y + 0.05 * reach, text, color="white", ha="center", va="bottom", fontsize=6)
