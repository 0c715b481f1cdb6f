"""Irregular particle shapes, lattices inside them, and thermal-like static displacements."""

from __future__ import annotations

import itertools

import numpy as np

from benchsuite.geometry import random_rotation

ZONE_AXES = np.array([v for v in itertools.product((-1, 0, 1), repeat=3) if any(v)], dtype=np.float64)
ZONE_AXIS_CLEARANCE_DEG = 3.0
_FEATURES = 64


def random_surface(rng: np.random.Generator, irregularity: float):  # noqa: ANN201
    """Return a smooth star-shaped surface: a function from unit vectors (n, 3) to relative radii (n,), of unit mean volume.

    The relative radius is 1 + irregularity · f, f a Gaussian random field on the sphere with unit variance made of random
    plane waves of about two periods around the particle, kept within 0.5 to 1.5 so that no part is cut off.
    """
    waves = rng.standard_normal((_FEATURES, 3)) * 1.6
    phases = rng.uniform(0, 2 * np.pi, _FEATURES)

    def radius(directions: np.ndarray) -> np.ndarray:
        field = np.sqrt(2 / _FEATURES) * np.cos(directions @ waves.T + phases).sum(axis=1)
        return np.clip(1 + irregularity * field, 0.5, 1.5)

    probe = rng.standard_normal((4000, 3))
    probe /= np.linalg.norm(probe, axis=1, keepdims=True)
    mean_volume = np.cbrt((radius(probe) ** 3).mean())
    return lambda directions: radius(directions) / mean_volume


def random_orientation(rng: np.random.Generator) -> np.ndarray:
    """Return a uniformly drawn (3, 3) orientation of a cubic crystal with no ⟨100⟩, ⟨110⟩ or ⟨111⟩ near the beam or the y axis."""
    axes = ZONE_AXES / np.linalg.norm(ZONE_AXES, axis=1, keepdims=True)
    limit = np.cos(np.deg2rad(ZONE_AXIS_CLEARANCE_DEG))
    while True:
        matrix = random_rotation(rng)
        if np.abs(axes @ matrix.T)[:, 1:].max() < limit:
            return matrix


def crystal_particle(
    rng: np.random.Generator,
    lattice_A: float,
    basis: np.ndarray,
    diameter_A: float,
    irregularity: float,
    count: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (n, 3) in Å and basis indices (n,) of a cubic crystal inside a random shape, in random orientation.

    `diameter_A` is that of the sphere of equal volume. With `count`, exactly that many sites of the smallest relative radius
    are kept, whatever the diameter.
    """
    radius = diameter_A / 2
    if count is not None:
        radius = max(radius, 1.3 * lattice_A * np.cbrt(3 * count / (4 * np.pi * len(basis))))
    reach = int(np.ceil(1.8 * radius / lattice_A)) + 1
    cells = np.array(list(itertools.product(range(-reach, reach + 1), repeat=3)), dtype=np.float64)
    sites = (cells[:, None, :] + basis + rng.uniform(0, 1, 3)).reshape(-1, 3) * lattice_A
    which = np.tile(np.arange(len(basis)), len(cells))
    sites = sites @ random_orientation(rng).T
    distance = np.linalg.norm(sites, axis=1)
    relative = distance / random_surface(rng, irregularity)(sites / np.maximum(distance, 1e-9)[:, None])
    keep = np.argsort(relative, kind="stable")[:count] if count is not None else np.flatnonzero(relative <= diameter_A / 2)
    keep = np.sort(keep)
    return sites[keep], which[keep]


def displaced(rng: np.random.Generator, positions: np.ndarray, rms_A: float) -> np.ndarray:
    """Return centred positions with Gaussian displacements whose root mean square length is exactly rms_A, to 1e-8 Å."""
    shifts = rng.standard_normal(positions.shape)
    shifts *= rms_A / np.sqrt((shifts**2).sum(axis=1).mean())
    moved = positions + shifts
    return np.round(moved - moved.mean(axis=0), 8)
