"""The frame of a truth whose file has another one: rotation and shift that carry true atoms to traced ones.

Starts are the 24 rotations that permute axes, those that carry a triple of neighbouring true atoms to a triple of traced ones of
nearly equal distances, and what rotations between the best of these make of the best: the others of a lattice. From each, nearest
pairs and the least-squares rotation of these (Kabsch) are found in turns, at a cut-off that shrinks: iterative closest points (Besl
& McKay, IEEE PAMI 14 (1992) 239, doi:10.1109/34.121791). What it is judged by,

    fit = Σ (1 − d²/c²) w / ½(n_true + n_traced)     over mutual nearest neighbours within c,

weighs a pair of different elements by a half; it is 1 for a perfect model, and false and missing atoms cost half a one each. The
mirrored truth is sought in the same way, and only compared: an improper frame is never taken.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from scipy.spatial import cKDTree

from benchsuite.contract.metric import Placement
from benchsuite.data import is_atom, particle_of
from benchsuite.metrics.matching.match import default_cutoff
from benchsuite.physics.rotations import is_rotation, nearest_rotation

SAMPLE_ATOMS = 250  # true atoms that starts are tried with
TRIPLE_SAMPLE_ATOMS = 60  # of them, for a start from a triple
MAX_STARTS = 30  # different starts from triples that are refined
MAX_REFINED_POSES = 6  # of all, with all atoms
SYMMETRY_CANDIDATES = 6  # of the best, between which rotations are tried on the best
CUTOFF_SCHEDULE_A = (2.5, 1.8, 1.2)  # cut-offs on the way
MAX_ICP_ITERATIONS = 8
ANCHOR_ATOMS = 4  # true atoms next to the centre whose triples are tried
ANCHOR_REACH_A = 6.0  # how far the centres of truth and traced atoms may be apart
TRIPLE_TOLERANCE_A = 0.5
WRONG_ELEMENT_WEIGHT = 0.5
SAME_POSE_ANGLE_DEG, SAME_POSE_SHIFT_A = 5.0, 0.8
FIT_TOLERANCE = 0.01  # fits nearer than this are equal
MIRROR_FIT_MARGIN = 0.03
MIRROR = np.diag([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Pose:
    """True positions r appear at rotation @ r + shift_A."""

    rotation: np.ndarray
    shift_A: np.ndarray
    fit: float

    def applied(self, positions: np.ndarray) -> np.ndarray:
        """Return positions (n, 3) in the frame of the traced atoms."""
        return positions @ self.rotation.T + self.shift_A


@dataclass(frozen=True)
class Registration:
    """The best proper pose, the next best that is another one, and the best of the mirrored truth."""

    best: Pose
    other: Pose | None
    mirrored: Pose

    @property
    def ambiguous(self) -> bool:
        """Whether another pose fits as well."""
        return self.other is not None and self.other.fit > self.best.fit - FIT_TOLERANCE

    @property
    def mirror_fits_better(self) -> bool:
        """Whether the mirrored truth fits much better."""
        return self.mirrored.fit > self.best.fit + MIRROR_FIT_MARGIN


def register(truth: Atoms, traced: Atoms, seed: int = 0) -> Registration:
    """Return how the truth lies among traced atoms (non-atoms left out). Raises ValueError for fewer than three atoms of either."""
    if min(len(truth), len(traced)) < 3:
        raise ValueError(f"{len(truth)} true and {len(traced)} traced atoms; at least three of each are needed")
    target = _Target(traced, default_cutoff(truth.positions), np.random.default_rng(seed))
    proper = _poses(truth.positions, truth.numbers, target)
    flipped = _poses(truth.positions @ MIRROR, truth.numbers, target)[0]
    others = [pose for pose in proper[1:] if not _alike(pose, proper[0], truth.positions)]
    mirrored = Pose(flipped.rotation @ MIRROR, flipped.shift_A, flipped.fit)
    return Registration(proper[0], others[0] if others else None, mirrored)


def nearest_axes(rotation: np.ndarray) -> tuple[tuple[str, str, str], float]:
    """Return the signed axes nearest to a rotation (or rotoreflection), as `truth.frame.axes` spells them, and the angle in degrees
    that is left."""
    candidates = {names: matrix for names, matrix in _frames() if np.linalg.det(matrix) * np.linalg.det(rotation) > 0}
    names = max(candidates, key=lambda one: float(np.trace(candidates[one].T @ rotation)))
    return names, angle_deg(candidates[names], rotation)


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    """Return the angle in degrees between two rotations."""
    return float(np.rad2deg(np.arccos(np.clip((np.trace(a.T @ b) - 1) / 2, -1, 1))))


@dataclass(frozen=True)
class _Target:
    """The traced atoms, and what pairs are judged by."""

    atoms: Atoms
    cutoff_A: float
    rng: np.random.Generator

    @property
    def tree(self) -> cKDTree:
        return cKDTree(self.atoms.positions)


def _frames() -> list[tuple[tuple[str, str, str], np.ndarray]]:
    """All 48 signed permutations of axes with their matrices."""
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[range(3), order] = signs
            one, two, three = (("-" if sign < 0 else "") + "xyz"[axis] for axis, sign in zip(order, signs, strict=True))
            found.append(((one, two, three), matrix))
    return found


def _poses(truth: np.ndarray, numbers: np.ndarray, target: _Target) -> list[Pose]:
    """Return poses, the best first."""
    chosen = target.rng.permutation(len(truth))[:SAMPLE_ATOMS]
    tree, sample = target.tree, truth[chosen]
    centre = np.median(target.atoms.positions, axis=0)
    starts = [(matrix, centre - matrix @ truth.mean(axis=0)) for _, matrix in _frames() if is_rotation(matrix)]
    starts += _from_triples(truth, sample[:TRIPLE_SAMPLE_ATOMS], target)
    judged = _tried(starts, truth, numbers, sample, target, tree)
    best = judged[:SYMMETRY_CANDIDATES]
    turned = [judged[0].rotation @ (one.rotation.T @ two.rotation) for one, two in itertools.permutations(best, 2)]
    middle = judged[0].applied(truth.mean(axis=0))
    again = [(rotation, middle - rotation @ truth.mean(axis=0)) for rotation in turned]
    judged = sorted([*judged, *_tried(again, truth, numbers, sample, target, tree)], key=lambda pose: -pose.fit)
    refined = []
    for rotation, shift in _different([(pose.fit, pose.rotation, pose.shift_A) for pose in judged], truth, MAX_REFINED_POSES):
        closest = _closest_points(truth, tree, rotation, shift, target.cutoff_A)
        refined.append(_judged(truth, numbers, target, tree, *closest))
    return sorted(refined, key=lambda pose: -pose.fit)


def _tried(
    starts: Sequence[tuple[np.ndarray, np.ndarray]],
    truth: np.ndarray,
    numbers: np.ndarray,
    sample: np.ndarray,
    target: _Target,
    tree: cKDTree,
) -> list[Pose]:
    """Return the different poses that some true atoms find from the starts, judged with all atoms, the best first."""
    rough = []
    for rotation, shift in starts:
        for cutoff in (*CUTOFF_SCHEDULE_A, target.cutoff_A):
            rotation, shift = _closest_points(sample, tree, rotation, shift, cutoff)
        rough.append((_coverage(sample, tree, rotation, shift, target.cutoff_A), rotation, shift))
    rough.sort(key=lambda one: -one[0])
    judged = [_judged(truth, numbers, target, tree, *one) for one in _different(rough, truth, MAX_STARTS)]
    return sorted(judged, key=lambda pose: -pose.fit)


def _different(
    ranked: Sequence[tuple[float, np.ndarray, np.ndarray]], truth: np.ndarray, most: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the first rotations and shifts of a ranking that are not those of a better one."""
    kept: list[Pose] = []
    for fit, rotation, shift in ranked:
        pose = Pose(rotation, shift, fit)
        if not any(_alike(pose, other, truth) for other in kept):
            kept.append(pose)
        if len(kept) == most:
            break
    return [(pose.rotation, pose.shift_A) for pose in kept]


def _from_triples(truth: np.ndarray, sample: np.ndarray, target: _Target) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the most promising rotations and shifts that carry two bonds of a true atom to two bonds of a traced one."""
    tree, positions = target.tree, target.atoms.positions
    centre = np.median(positions, axis=0)
    truth_tree = cKDTree(truth)
    anchors = np.atleast_1d(np.asarray(truth_tree.query(truth.mean(axis=0), k=min(ANCHOR_ATOMS, len(truth)))[1]))
    found = []
    for anchor in anchors:
        bonds = _two_bonds(truth, truth_tree, int(anchor))
        if bonds is None:
            continue
        lengths = np.linalg.norm([*bonds, bonds[1] - bonds[0]], axis=1)
        for place in tree.query_ball_point(centre, ANCHOR_REACH_A):
            near = positions[tree.query_ball_point(positions[place], lengths[:2].max() + TRIPLE_TOLERANCE_A)] - positions[place]
            first, second = (near[np.abs(np.linalg.norm(near, axis=1) - length) < TRIPLE_TOLERANCE_A] for length in lengths[:2])
            apart = np.linalg.norm(first[:, None] - second[None], axis=2)
            for i, j in np.argwhere(np.abs(apart - lengths[2]) < TRIPLE_TOLERANCE_A):
                rotation = nearest_rotation(np.stack([first[i], second[j]]).T @ np.stack(bonds))
                shift = positions[place] - rotation @ truth[anchor]
                found.append((_coverage(sample, tree, rotation, shift, 2 * target.cutoff_A), rotation, shift))
    found.sort(key=lambda one: -one[0])
    return _different(found, truth, MAX_STARTS)


def _two_bonds(truth: np.ndarray, tree: cKDTree, anchor: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the shortest bond of an atom and the next that makes 30° to 150° with it."""
    near = np.atleast_1d(np.asarray(tree.query(truth[anchor], k=min(14, len(truth)))[1]))[1:]
    vectors = truth[near] - truth[anchor]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    across = np.flatnonzero(np.abs(unit @ unit[0]) < np.cos(np.deg2rad(30)))
    return (vectors[0], vectors[across[0]]) if len(across) else None


def _closest_points(
    truth: np.ndarray, tree: cKDTree, rotation: np.ndarray, shift: np.ndarray, cutoff_A: float
) -> tuple[np.ndarray, np.ndarray]:
    """Fit rotation and shift to the nearest pairs within a cut-off, until the pairs stay."""
    before = np.empty(0, dtype=int)
    for _ in range(MAX_ICP_ITERATIONS):
        distance, nearest = map(np.asarray, tree.query(truth @ rotation.T + shift, distance_upper_bound=cutoff_A))
        good = np.isfinite(distance)
        if good.sum() < 3 or np.array_equal(nearest, before):
            break
        before = nearest
        rotation, shift = _rigid(truth[good], tree.data[nearest[good]])
    return rotation, shift


def _rigid(source: np.ndarray, aim: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rotation = nearest_rotation((aim - aim.mean(axis=0)).T @ (source - source.mean(axis=0)))
    return rotation, aim.mean(axis=0) - rotation @ source.mean(axis=0)


def _coverage(sample: np.ndarray, tree: cKDTree, rotation: np.ndarray, shift: np.ndarray, cutoff_A: float) -> float:
    """Return the mean of 1 − d²/c² over some true atoms: a fit without elements and false atoms."""
    distance, _ = tree.query(sample @ rotation.T + shift, distance_upper_bound=cutoff_A)
    return float(np.where(np.isfinite(distance), 1 - (np.minimum(distance, cutoff_A) / cutoff_A) ** 2, 0).mean())


def _judged(
    truth: np.ndarray, numbers: np.ndarray, target: _Target, tree: cKDTree, rotation: np.ndarray, shift: np.ndarray
) -> Pose:
    """Return a rotation and shift with their fit."""
    placed = truth @ rotation.T + shift
    distance, nearest = map(np.asarray, tree.query(placed, distance_upper_bound=target.cutoff_A))
    back = np.asarray(cKDTree(placed).query(target.atoms.positions)[1])
    pairs = np.flatnonzero(np.isfinite(distance))
    pairs = pairs[back[nearest[pairs]] == pairs]
    weight = np.where(numbers[pairs] == target.atoms.numbers[nearest[pairs]], 1.0, WRONG_ELEMENT_WEIGHT)
    total = float((weight * (1 - (distance[pairs] / target.cutoff_A) ** 2)).sum())
    return Pose(rotation, shift, total / (0.5 * (len(truth) + len(target.atoms))))


def _alike(a: Pose, b: Pose, truth: np.ndarray) -> bool:
    """Whether two poses put the truth at nearly the same place."""
    centre = truth.mean(axis=0)
    apart = np.linalg.norm(a.applied(centre) - b.applied(centre))
    return angle_deg(a.rotation, b.rotation) < SAME_POSE_ANGLE_DEG and bool(apart < SAME_POSE_SHIFT_A)


def placed(specimen: Atoms, traced: Atoms, least_fit: float) -> tuple[Atoms | None, Placement | None, list[str]]:
    """Return a specimen of unknown frame in the frame of the traced atoms, how it was placed, and remarks in whole sentences.

    The specimen is None where it fits nowhere, which is no result of the reconstruction, or cannot be judged.
    """
    atoms = traced[is_atom(traced)]
    try:
        found = register(particle_of(specimen), atoms)
    except ValueError as error:
        return None, None, [f"truth not registered: {error}"]
    texts = list(remarks(found, least_fit))
    pose = (found.best.rotation, found.best.shift_A) if found.best.fit >= least_fit else (None, None)
    placement = Placement(found.best.fit, found.mirrored.fit, *pose)
    return placement.applied(specimen), placement, texts


def remarks(found: Registration, least_fit: float) -> Sequence[str]:
    """Return what a user has to know of a registration, in whole sentences."""
    axes, angle = nearest_axes(found.best.rotation)
    texts = []
    if found.best.fit < least_fit:
        texts.append(
            f"truth not registered: it fits by {found.best.fit:.2f}, less than {least_fit:g}; nothing is scored against it"
        )
    else:
        shift = ", ".join(f"{value:.2f}" for value in found.best.shift_A)
        frame = f"axes [{', '.join(axes)}], then {angle:.2f}°, shift {shift} Å from its mean"
        texts.append(f"truth registered: {frame}, fit {found.best.fit:.3f}")
        if found.ambiguous and found.other is not None:
            others, more = nearest_axes(found.other.rotation)
            texts.append(
                f"registration ambiguous: axes [{', '.join(others)}], then {more:.2f}° fit as well ({found.other.fit:.3f})"
            )
    if found.mirror_fits_better:
        texts.append(
            f"mirrored: check handedness; the mirror image of the truth fits by {found.mirrored.fit:.3f}, it itself by "
            f"{found.best.fit:.3f}"
        )
    elif found.mirrored.fit > found.best.fit - FIT_TOLERANCE and found.best.fit >= least_fit:
        texts.append(f"its mirror image fits as well ({found.mirrored.fit:.3f}): it does not tell the handedness")
    return texts
