"""Cubic lattices in random orientation, clear of zone axes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from benchsuite.phantoms.quantities import check_count
from benchsuite.physics.rotations import random_rotation

FCC = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
ROCKSALT = np.concatenate([FCC, FCC + np.array([0.5, 0, 0])])

_LOW_INDEX = np.array([v for v in itertools.product((-1, 0, 1), repeat=3) if v > (0, 0, 0)], dtype=np.float64)
LOW_INDEX_AXES = _LOW_INDEX / np.linalg.norm(_LOW_INDEX, axis=1, keepdims=True)


def zone_axis_distance_deg(orientation: np.ndarray) -> float:
    """Return the least angle between any ⟨100⟩, ⟨110⟩ or ⟨111⟩ of the oriented crystal and the beam (z) or the y axis."""
    cosine = np.abs(LOW_INDEX_AXES @ orientation.T)[:, 1:].max()
    return float(np.rad2deg(np.arccos(min(cosine, 1.0))))


def random_orientation(
    rng: np.random.Generator, clearance_deg: float, grains: Sequence[np.ndarray] = (np.eye(3),)
) -> tuple[np.ndarray, float]:
    """Return a (3, 3) orientation, uniform over those whose low-index axes keep the clearance, and their least angle in degrees.

    `grains` are the orientations (3, 3) of the crystals of a particle. The clearance from beam and y axis holds for the untilted
    specimen and the default tilt axis; a tilt series still passes zone axes, as it does in an experiment.
    """
    while True:
        orientation = random_rotation(rng)
        distance_deg = min(zone_axis_distance_deg(orientation @ grain) for grain in grains)
        if distance_deg >= clearance_deg:
            return orientation, distance_deg


def sites_within(
    radius_A: float, lattice_A: float, basis: np.ndarray, origin: np.ndarray, orientation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (n, 3) in Å and basis indices (n,) of the lattice sites inside a sphere.

    `origin` (3,) is the lattice point nearest the centre, in fractions of the cubic cell. Raises BenchsuiteError for too many.
    """
    reach = int(np.ceil(radius_A / lattice_A)) + 2
    check_count(len(basis) * (2 * reach + 1) ** 3)
    along = np.arange(-reach, reach + 1, dtype=np.float64)
    cells = np.stack(np.meshgrid(along, along, along, indexing="ij"), axis=-1).reshape(-1, 3)
    sites = (cells[:, None, :] + basis + origin).reshape(-1, 3) * lattice_A @ orientation.T
    basis_index = np.tile(np.arange(len(basis)), len(cells))
    inside = np.linalg.norm(sites, axis=1) <= radius_A
    return sites[inside], basis_index[inside]
