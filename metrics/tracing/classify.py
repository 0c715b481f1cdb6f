"""Elements from intensities: k-means, then the iteration over average profiles that forgets where it started.

1. Each atom's profile is the smoothed volume on 5×5×5 points of voxel distance around its fitted position; its intensity is their
   sum. k-means with K + 1 classes for K species; the weakest class is "non-atom". It works on square roots: the spread of a
   class grows with its intensity, and plain intensities would have it split the strongest element.
2. Classes that are no classes of their own are not used. The test is the separation D = √2 |μ₁ − μ₂| / √(σ₁² + σ₂²) of
   neighbouring classes (Ashman, Bird & Zepf, Astron. J. 108 (1994) 2348, doi:10.1086/117248); two halves of one normal
   distribution have D = 2.7 and of a uniform one 3.5, so more than 3.5 is asked for, and a tenth between the mean amplitudes. If
   all K + 1 classes are apart, the weakest is "non-atom". Else all peaks are atoms, in K classes if these are apart, or else in
   fewer; the classes are named from the strongest element down, so that an element that cannot be seen is not made out of one
   that can.
3. Every atom goes to the class whose average profile is nearest (L2), until none changes (Yang et al., Nature 542 (2017) 75,
   doi:10.1038/nature21042).

Atoms of a list that say how well their intensity is known are then asked how probable each class is (`certainty.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from ase import Atoms

from benchsuite.data import NON_ATOM, Volume
from benchsuite.metrics.tracing.certainty import reconsidered

PROFILE_HALF_WIDTH = 2
PARTICLE_BLUR_A = 1.5  # about half the distance of neighbouring heavy atoms
Mask = Literal["none", "otsu", "particle"]
MIN_ASHMAN_D = 3.5
MIN_AMPLITUDE_CONTRAST = 0.1  # of the mean amplitudes of two classes: few atoms of one kind form tight groups by chance
MAX_ITERATIONS = 100


def classify(
    volume: Volume,
    atoms: Atoms,
    *,
    species: Sequence[str],
    smooth_A: float = 0.3,
    mask: Mask = "none",
    non_atoms: bool = True,
    rng: np.random.Generator,
) -> Atoms:
    """Return a copy of the atoms with elements as symbols ("X" for non-atoms) and the array `intensity`.

    species: elements from the weakest to the strongest. Peaks outside the mask become non-atoms: where the smoothed volume is
    below Otsu's threshold of its positive values ("otsu"), or where that is so after a blur wider than the atoms ("particle"),
    which cuts away what surrounds the particle and keeps light atoms among heavy ones. Without `non_atoms` no class is sought for
    them among the others: where light atoms fall into several groups, the weakest would be taken for it.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    data = gaussian_filter(volume.data.astype(np.float32), smooth_A / volume.voxel_A, mode="constant")
    result = atoms.copy()
    centres = volume.grid.indices(atoms.positions)
    profiles = profiles_at(data, centres)
    intensity = profiles.sum(axis=1)
    symbols = np.full(len(atoms), NON_ATOM, dtype="U2")
    inside = np.ones(len(atoms), dtype=bool)
    if mask != "none":
        blurred = data if mask == "otsu" else gaussian_filter(data, PARTICLE_BLUR_A / volume.voxel_A, mode="constant")
        inside = map_coordinates(blurred, centres.T, order=1, mode="constant") > otsu_threshold(blurred)
    labels = group(profiles[inside], intensity[inside], len(species), rng, non_atoms)
    symbols[inside] = np.array([NON_ATOM, *species])[labels]
    result.set_chemical_symbols(symbols.tolist())
    result.set_array("intensity", intensity)
    return result


def classify_by_intensity(atoms: Atoms, *, species: Sequence[str], non_atoms: bool = True, rng: np.random.Generator) -> Atoms:
    """Return a copy of atoms without elements ("X") but with the array `intensity`, classified by that alone.

    For answers that are lists of atoms. Species and `non_atoms` as in `classify`. Atoms with the array `intensity_uncertainty`,
    standard deviations in its unit, get the class that is most probable (`certainty.reconsidered`) and the arrays
    `class_probability` and `ambiguous`.
    """
    result, intensity = atoms.copy(), atoms.arrays["intensity"]
    labels = group(intensity[:, None], intensity, len(species), rng, non_atoms)
    if "intensity_uncertainty" in atoms.arrays:
        labels, probability, ambiguous = reconsidered(intensity, atoms.arrays["intensity_uncertainty"], labels)
        result.set_array("class_probability", probability)
        result.set_array("ambiguous", ambiguous)
    result.set_chemical_symbols(np.array([NON_ATOM, *species])[labels].tolist())
    return result


def profiles_at(data: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return (n, 125) values of the volume on 5×5×5 points around fractional indices (n, 3), linearly interpolated."""
    from scipy.ndimage import map_coordinates

    axis = np.arange(-PROFILE_HALF_WIDTH, PROFILE_HALF_WIDTH + 1)
    offsets = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    points = (centres[:, None, :] + offsets).reshape(-1, 3)
    return map_coordinates(data, points.T, order=1, mode="constant").reshape(len(centres), len(offsets)).astype(np.float64)


def group(
    profiles: np.ndarray, intensity: np.ndarray, species: int, rng: np.random.Generator, non_atoms: bool = True
) -> np.ndarray:
    """Return (n,) labels: 0 for non-atoms, 1 … K for the species from weak to strong."""
    amplitude = np.sqrt(np.maximum(intensity, 0.0))
    for classes in range(species + non_atoms, 1, -1):
        if len(intensity) <= classes:
            continue
        labels = k_means(amplitude, classes, rng)
        apart = min(separation(amplitude[labels == c], amplitude[labels == c + 1]) for c in range(classes - 1))
        if apart > MIN_ASHMAN_D:
            return nearest_profile(profiles, labels + (species + 1 - classes), species + 1)
    return np.full(len(intensity), species)


def k_means(values: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Return (n,) labels of the best of ten seeded k-means runs in one dimension, numbered from weak to strong."""
    best, best_error = np.zeros(len(values), dtype=int), np.inf
    for _ in range(10):
        centres = np.sort(rng.choice(values, classes, replace=False))
        for _ in range(MAX_ITERATIONS):
            labels = np.abs(values[:, None] - centres).argmin(axis=1)
            moved = np.array([values[labels == c].mean() if (labels == c).any() else centres[c] for c in range(classes)])
            if np.array_equal(moved, centres):
                break
            centres = np.sort(moved)
        error = float(((values - centres[labels]) ** 2).sum())
        if error < best_error:
            best, best_error = labels, error
    return best


def separation(weak: np.ndarray, strong: np.ndarray) -> float:
    """Return Ashman's D of two groups; infinite for two distinct groups without spread, 0 where one is empty or hardly weaker."""
    if len(weak) == 0 or len(strong) == 0:
        return 0.0
    if weak.mean() > (1 - MIN_AMPLITUDE_CONTRAST) * strong.mean():
        return 0.0
    spread = np.sqrt(weak.var() + strong.var())
    apart = np.sqrt(2) * abs(strong.mean() - weak.mean())
    return float(apart / spread) if spread > 0 else (np.inf if apart > 0 else 0.0)


def nearest_profile(profiles: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return labels (n,) after moving every atom to the class with the nearest average profile until none changes."""
    for _ in range(MAX_ITERATIONS):
        present = [c for c in range(classes) if (labels == c).any()]
        averages = np.stack([profiles[labels == c].mean(axis=0) for c in present])
        distance = ((profiles[:, None, :] - averages[None]) ** 2).sum(axis=2)
        new = np.array(present)[distance.argmin(axis=1)]
        if np.array_equal(new, labels):
            break
        labels = new
    return labels


def otsu_threshold(data: np.ndarray) -> float:
    """Return Otsu's threshold of the positive values (IEEE Trans. SMC 9 (1979) 62, doi:10.1109/TSMC.1979.4310076)."""
    from skimage.filters import threshold_otsu

    positive = data[data > 0]
    return float(threshold_otsu(positive)) if positive.size and positive.min() < positive.max() else 0.0
