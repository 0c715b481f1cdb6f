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
from benchsuite.results import CellResult, Run

SLICE_A = 2.0
LARGEST_REACH_A = 30.0  # what is shown of a large particle, on all sides of its centre
ATOM_PIXEL_A, ATOM_SIGMA_A = 0.2, 0.4
BINS = 40
CORRECT = ("true", "traced")  # outcomes of atoms that are right, and of atoms whose truth is not known
MISSED, NON_ATOM = "missed atom", "non-atom"


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
        colors = element_colors(elements(cell.run))
        symbols = np.array(traced.get_chemical_symbols(), dtype="U2")
        outcome, intensity = traced.arrays["outcome"], traced.arrays["intensity"]
        scale = np.percentile(np.abs(intensity), 99.5) or 1.0
        edges = np.linspace(min(0.0, float(intensity.min() / scale)), max(1.05, float(intensity.max() / scale)), BINS + 1)
        groups = [(intensity[symbols == "X"] / scale, GREY, "", NON_ATOM)]
        for element, color in colors.items():
            of_element = symbols == element
            plain = np.isin(outcome, CORRECT)
            groups.append((intensity[of_element & plain] / scale, color, "", _correct(cell.run, element)))
            groups.append((intensity[of_element & ~plain] / scale, color, "/////", _incorrect(element)))
        bottom = np.zeros(BINS)
        for values, color, hatch, name in groups:
            if len(values) == 0:
                continue
            counts, _ = np.histogram(values, edges)
            style: dict[str, Any] = {
                "facecolor": "white" if hatch else color,
                "edgecolor": color if hatch else "none",
                "hatch": hatch or None,
                "label": name,
            }
            axes.bar(edges[:-1], counts, np.diff(edges), bottom=bottom, align="edge", linewidth=0.4, **style)
            bottom += counts
        axes.set_xlabel("Intensity (relative)")
        axes.set_ylabel("Number of atoms")

    def legend(self, run: Run) -> list[Artist]:
        handles: list[Artist] = []
        for element, color in element_colors(elements(run)).items():
            handles.append(Patch(facecolor=color, label=_correct(run, element)))
            handles.append(Patch(facecolor="white", edgecolor=color, hatch="/////", label=_incorrect(element)))
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
            image, extent = _slice_of_volume(result.volume)
            reach = min(reach, extent[1])
        else:
            image, extent = _slice_of_atoms(traced, reach)
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
            handles.append(Line2D([], [], marker="o", color=color, label=_correct(run, element), **hollow))
            handles.append(Line2D([], [], marker="^", color=color, label=_incorrect(element), **hollow))
        return [*handles, Line2D([], [], marker="x", color=VERMILLION, label=MISSED, linestyle="none", markersize=4.5)]


def elements(run: Run) -> list[str]:
    """Return the elements that the run tells apart, over all its scenarios' variants."""
    found = [str(name).removeprefix("recall_").removesuffix("_pct") for name in run.table if str(name).startswith("recall_")]
    wanted = list(run.scenario.get("analysis", {}).get("species", []))
    return [*wanted, *(element for element in found if element not in wanted)]


def _correct(run: Run, element: str) -> str:
    return element if run.without_truth else f"correct {element}"


def _incorrect(element: str) -> str:
    return f"incorrect {element}"


def _extent(atoms: Atoms, volume: Volume | None) -> float:
    """How far from the centre there is something to show."""
    if len(atoms):
        return float(np.abs(atoms.positions[:, :2]).max()) + 2.0
    return LARGEST_REACH_A if volume is None else 0.5 * volume.voxel_A * min(volume.data.shape[1:])


def _slice_of_volume(volume: Volume) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    nz, ny, nx = volume.data.shape
    x0, y0, _ = volume.grid.origin_A - volume.voxel_A / 2
    extent = (x0, x0 + nx * volume.voxel_A, y0, y0 + ny * volume.voxel_A)
    return volume.data[slab(nz, volume.voxel_A)].sum(axis=0), extent


def _slice_of_atoms(atoms: Atoms, reach: float) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """Draw an answer that is a list of atoms as equally wide blobs."""
    from scipy.ndimage import gaussian_filter

    near = np.abs(atoms.positions[:, 2]) <= SLICE_A / 2
    x, y = atoms.positions[near, :2].T
    weights = atoms.arrays["intensity"][near] if "intensity" in atoms.arrays else None
    edges = np.arange(-reach, reach + ATOM_PIXEL_A, ATOM_PIXEL_A)
    image = np.histogram2d(y, x, bins=(edges, edges), weights=weights)[0]
    return gaussian_filter(image, ATOM_SIGMA_A / ATOM_PIXEL_A), (edges[0], edges[-1], edges[0], edges[-1])


def slab(nz: int, voxel_A: float) -> slice:
    """Return the voxels whose centres are at most SLICE_A / 2 from the centre N//2: five of 0.4 Å, symmetric about it."""
    half = int(SLICE_A / 2 / voxel_A + 1e-6)
    return slice(max(0, nz // 2 - half), nz // 2 + half + 1)


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
        for chosen, marker, name in ((plain, "o", _correct(run, element)), (false, "^", _incorrect(element))):
            at = positions[near & chosen & (symbols == element)]
            if len(at):
                style: dict[str, Any] = {"marker": marker, "facecolors": "none", "edgecolors": color, "label": name}
                axes.scatter(at[:, 0], at[:, 1], s=13, linewidth=0.8, **style)


def _scale_bar(axes: Axes, reach: float) -> None:
    length = 5.0 if reach < 14 else 10.0
    x, y = -reach + 0.08 * reach, -reach + 0.1 * reach
    axes.plot([x, x + length], [y, y], color="white", linewidth=2, solid_capstyle="butt")
    text = f"{length / 10:g} nm"
    axes.text(x + length / 2, y + 0.05 * reach, text, color="white", ha="center", va="bottom", fontsize=6)
