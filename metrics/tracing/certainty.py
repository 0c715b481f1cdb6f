"""How certain the element of an atom is, from its intensity and the standard deviation that is stated for it.

A class c of n_c atoms has a mean intensity μ_c and an intrinsic spread s_c, what its atoms differ by beyond what is stated for
them: s_c² = max(0, variance − typical stated variance). An atom of intensity I ± σ belongs to it with the probability

    p_c ∝ n_c exp(−(I − μ_c)² / 2(s_c² + σ²)) / √(s_c² + σ²)

(Bayes, with shares of the classes as they were found). Mean and variance are the median and the scaled median absolute deviation
(Hampel, J. Am. Stat. Assoc. 69 (1974) 383, doi:10.1080/01621459.1974.10482962): the few atoms that lie between two classes would
else widen the one into which they fell until it explained them.
"""

from __future__ import annotations

import numpy as np

from benchsuite.physics.statistics import robust_deviation

MIN_CLASS_PROBABILITY = 0.95
MAX_CLASS_DISTANCE_SIGMAS = 4.0  # standard deviations from every class
UNKNOWN_DEVIATION = 1e6  # times the largest intensity: the deviation of an intensity that is not known


def reconsidered(intensity: np.ndarray, deviation: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (n,) labels after every atom went to its most probable class, the probabilities of these, and which are ambiguous.

    An atom only goes to a class on that side of its own where it lies: one brighter than the strongest class is none of a weak one
    that is broad. Ambiguous are those whose class is less probable than 0.95, and those more than 4 standard deviations from
    every class.
    """
    if len(labels) == 0:
        return labels, np.empty(0), np.empty(0, dtype=bool)
    largest = float(np.abs(intensity).max()) or 1.0
    stated = np.clip(np.where(np.isfinite(deviation), deviation, np.inf), 1e-9 * largest, UNKNOWN_DEVIATION * largest)
    classes, counts = np.unique(labels, return_counts=True)
    centre, spread = np.array([_centre_and_spread(intensity[labels == c], stated[labels == c]) for c in classes]).T
    width = np.hypot(spread, stated[:, None])
    away = intensity[:, None] - centre
    logarithm = np.log(counts) - np.log(width) - 0.5 * (away / width) ** 2
    probability = np.exp(logarithm - logarithm.max(axis=1, keepdims=True))
    probability /= probability.sum(axis=1, keepdims=True)
    atoms, labelled, best = np.arange(len(labels)), np.searchsorted(classes, labels), probability.argmax(axis=1)
    towards = (centre[best] - centre[labelled]) * away[atoms, labelled] > 0
    given = np.where(towards, best, labelled)
    chance = probability[atoms, given]
    far = (np.abs(away) > MAX_CLASS_DISTANCE_SIGMAS * width).all(axis=1)
    return classes[given], chance, (chance < MIN_CLASS_PROBABILITY) | far


def _centre_and_spread(intensity: np.ndarray, stated: np.ndarray) -> tuple[float, float]:
    """Return the centre of a class and the spread of its atoms beyond what is stated for them."""
    centre = float(np.median(intensity))
    variance = robust_deviation(intensity) ** 2
    return centre, float(np.sqrt(max(0.0, variance - float(np.median(stated**2)))))
