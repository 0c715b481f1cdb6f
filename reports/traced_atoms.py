"""What figures and pages show of traced atoms: central slices of the reconstruction, and the histogram of the intensities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from benchsuite.data import Volume
from benchsuite.reports.style import GREY, element_colors

SLICE_A = 2.0
LARGEST_REACH_A = 30.0  # what is shown of a large particle, on all sides of its centre
BLOB_PIXEL_A, BLOB_SIGMA_A = 0.2, 0.4
BINS = 40
CORRECT = ("true", "traced")  # outcomes of atoms that are right, and of atoms whose truth is not known
NON_ATOM = "non-atom"

Slice = tuple[np.ndarray, tuple[float, float], float]  # image, lower left corner (right, up) in Å, pixel in Å
Layer = tuple[str, str, bool, np.ndarray]  # name, colour, whether hatched, counts


def slice_of(volume: Volume, across: int, right: int, up: int) -> Slice:
    """Return the sum over 2 Å about the centre, as rows of `up` and columns of `right`: places in x, y, z."""
    data = np.moveaxis(volume.data, (2 - across, 2 - up, 2 - right), (0, 1, 2))
    origin = volume.grid.origin_A - volume.voxel_A / 2
    return data[slab(len(data), volume.voxel_A)].sum(axis=0), (float(origin[right]), float(origin[up])), volume.voxel_A


def slab(count: int, voxel_A: float) -> slice:
    """Return the voxels whose centres are at most SLICE_A / 2 from the centre N//2: five of 0.4 Å, symmetric about it."""
    half = int(SLICE_A / 2 / voxel_A + 1e-6)
    return slice(max(0, count // 2 - half), count // 2 + half + 1)


def slice_of_atoms(positions_A: np.ndarray, weights: np.ndarray | None, reach: float, across: int, right: int, up: int) -> Slice:
    """Return the same of atoms (n, 3) without a volume, drawn as equally wide Gaussians."""
    from scipy.ndimage import gaussian_filter

    near = np.abs(positions_A[:, across]) <= SLICE_A / 2
    edges = np.arange(-reach, reach + BLOB_PIXEL_A, BLOB_PIXEL_A)
    chosen = None if weights is None else weights[near]
    image = np.histogram2d(positions_A[near, up], positions_A[near, right], bins=(edges, edges), weights=chosen)[0]
    return gaussian_filter(image, BLOB_SIGMA_A / BLOB_PIXEL_A), (-reach, -reach), BLOB_PIXEL_A


def scale_bar_A(reach: float) -> int:
    """Return the length of the scale bar of a slice."""
    return 5 if reach < 14 else 10


def intensity_layers(traced: Atoms, elements: Sequence[str]) -> tuple[np.ndarray, list[Layer]]:
    """Return (edges of the bins, layers) of the intensities, relative to their 99.5th percentile; the layers are to be stacked."""
    symbols, outcome = np.array(traced.get_chemical_symbols(), dtype="U2"), traced.arrays["outcome"]
    intensity = traced.arrays["intensity"]
    relative = intensity / (float(np.percentile(np.abs(intensity), 99.5)) or 1.0)
    edges = np.linspace(min(0.0, float(relative.min())), max(1.05, float(relative.max())), BINS + 1)
    correct = np.isin(outcome, CORRECT)
    layers: list[Layer] = [(NON_ATOM, GREY, False, np.histogram(relative[symbols == "X"], edges)[0])]
    for element, color in element_colors(elements).items():
        of_element = symbols == element
        name = element_name(element, bool((outcome == "traced").any()))
        layers.append((name, color, False, np.histogram(relative[of_element & correct], edges)[0]))
        layers.append((f"incorrect {element}", color, True, np.histogram(relative[of_element & ~correct], edges)[0]))
    return edges, layers


def element_name(element: str, without_truth: bool) -> str:
    """Return how a legend names the atoms of an element that are not known to be incorrect."""
    return element if without_truth else f"correct {element}"
