"""Model selection: add atoms where a score test on the residual is significant, remove those whose weight is not.

The weight of a candidate far from all atoms is w = −(∂L/∂W)/(c F), with the standard deviation s/√F: s = 1/√N under counting
statistics, or the spread of √F w over all candidates, whichever is more, since a model that is wrong somewhere shows atoms
everywhere. An atom is added where w √F/s exceeds the quantile of the normal distribution beyond which one of all candidates lies
by chance in one of `SEARCHES_PER_FALSE_ATOM` searches. An atom is removed when its weight falls below that multiple of its own
standard deviation which one of as many false atoms would exceed by chance as often: fewer than the candidates, since an atom that
has been found need not be found again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from benchsuite.data import TiltSeries
from benchsuite.physics.gaussians.atoms import Orbitals, View
from benchsuite.physics.gaussians.pattern_model import PatternModel
from benchsuite.physics.gaussians.shapes import GAUSSIAN
from benchsuite.physics.statistics import robust_deviation
from benchsuite.reconstructors.lot.start import merged

SEARCHES_PER_FALSE_ATOM = 20.0  # searches in one of which a single point passes by chance
CANDIDATE_SPACING_A = 0.6  # distance of the candidates
MAX_DISTANCE_A = 3.5  # distance from the nearest atom beyond which there is no particle
SMOOTHED_CANDIDATES = 64  # neighbouring candidates that share an estimate of the information
CANDIDATE_WIDTH_A2 = 0.3  # width of the Gaussian that is tested


def significance_threshold(points: int) -> float:
    """Return how many standard deviations a weight must have among `points` that are tested."""
    from scipy.stats import norm

    return float(norm.isf(1 / (SEARCHES_PER_FALSE_ATOM * max(1, points))))


def candidate_grid(positions: np.ndarray, apart_A: float, series: TiltSeries) -> np.ndarray:
    """Return the points (n, 3) of a regular grid over the scan, near some atom and farther than `apart_A` from every one."""
    from scipy.spatial import cKDTree

    half_A = 0.5 * series.scan_step_A * max(series.scan_shape)
    low = np.maximum(positions.min(axis=0) - MAX_DISTANCE_A, -half_A)
    high = np.minimum(positions.max(axis=0) + MAX_DISTANCE_A, half_A)
    axes = [np.arange(first, last, CANDIDATE_SPACING_A) for first, last in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    distance, _ = cKDTree(positions).query(points)
    return points[(distance > apart_A) & (distance < MAX_DISTANCE_A)]


def score_test_weights(
    model: PatternModel,
    atoms: Orbitals,
    views: Sequence[View],
    shape_index: np.ndarray,
    points: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight (n,) of an atom at each candidate, were it alone, by the residual, and the information (n,) about it."""
    candidates = Orbitals(points, np.zeros(len(points)), np.full(len(points), CANDIDATE_WIDTH_A2))
    places = [model.potential.sliced(candidates, view, [GAUSSIAN]) for view in views]
    slopes, information = np.zeros(len(points)), np.zeros(len(points))
    for number, _, _, slope, _ in model.slopes(atoms, views, shape_index):
        slopes += model.potential.gradient(places[number], slope)[0][:, 3]
    for number, _, slope in model.random_slopes(atoms, views, rng, 1, shape_index):
        information += model.potential.gradient(places[number], slope)[0][:, 3] ** 2
    information = smoothed(information, points)
    return -slopes / (model.curvature * np.maximum(information, np.finfo(float).tiny)), information


def smoothed(information: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the mean of an estimate (n,) over the nearest points (n, 3): it scatters, while what it estimates hardly varies."""
    from scipy.spatial import cKDTree

    count = min(SMOOTHED_CANDIDATES, len(points))
    _, nearest = cKDTree(points).query(points, k=[*range(1, count + 1)])
    return information[nearest].mean(axis=1)


def propose_atoms(
    weight: np.ndarray, information: np.ndarray, points: np.ndarray, apart_A: float, electrons: float, least: float
) -> Orbitals:
    """Return new atoms where weights are significant and exceed `least`; none nearer than `apart_A` to a stronger one."""
    score = weight * np.sqrt(information)
    spread = robust_deviation(score)
    noise = max(spread, 1 / math.sqrt(electrons) if math.isfinite(electrons) else 0.0)
    chosen = (score > significance_threshold(len(points)) * noise) & (weight > least)
    found = Orbitals(points[chosen], weight[chosen], np.full(int(chosen.sum()), CANDIDATE_WIDTH_A2))
    return merged(found, apart_A, weigh=False)


def is_significant(weight: np.ndarray, deviation: np.ndarray, least: float) -> np.ndarray:
    """Return which atoms have a weight of at least `least` that is significant among all of them."""
    return (weight > significance_threshold(len(weight)) * deviation) & (weight > least)
