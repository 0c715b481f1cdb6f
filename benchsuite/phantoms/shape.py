"""Irregular particle shapes, static displacements, and the centre of a particle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchsuite.errors import BenchsuiteError

Surface = Callable[[np.ndarray], np.ndarray]

MIN_RELATIVE_RADIUS, MAX_RELATIVE_RADIUS = 0.5, 1.5
PLANE_WAVES = 64
WAVE_NUMBER_PER_RADIUS = 1.6  # radians per radius: about two periods around the particle
MAX_DRAWS = 100


def random_surface(rng: np.random.Generator, irregularity: float) -> Surface:
    """Return a smooth star-shaped surface: a function from unit vectors (n, 3) to radii (n,) of a body of volume 4π/3.

    The radius is proportional to 1 + irregularity · f, f a Gaussian random field on the sphere of zero mean and unit variance,
    the sum of random plane waves. It is kept within 0.5 to 1.5, so that nothing is cut off.
    """
    waves = rng.standard_normal((PLANE_WAVES, 3)) * WAVE_NUMBER_PER_RADIUS
    phases = rng.uniform(0, 2 * np.pi, PLANE_WAVES)

    def field(directions: np.ndarray) -> np.ndarray:
        return np.cos(directions @ waves.T + phases).sum(axis=1)

    everywhere = sphere_points(4000)
    values = field(everywhere)
    mean, deviation = values.mean(), values.std()

    def radius(directions: np.ndarray) -> np.ndarray:
        return np.clip(1 + irregularity * (field(directions) - mean) / deviation, MIN_RELATIVE_RADIUS, MAX_RELATIVE_RADIUS)

    equal_volume = np.cbrt((radius(everywhere) ** 3).mean())
    return lambda directions: radius(directions) / equal_volume


def sphere_points(count: int) -> np.ndarray:
    """Return (count, 3) unit vectors spread evenly over the sphere (Fibonacci lattice)."""
    z = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (1 + np.sqrt(5)) * np.arange(count)
    ring = np.sqrt(1 - z**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), z], axis=1)


def displaced(rng: np.random.Generator, positions: np.ndarray, rms_A: float, min_fraction: float = 0.75) -> np.ndarray:
    """Return positions (n, 3) with Gaussian displacements whose root mean square length is exactly rms_A.

    No pair comes nearer than `min_fraction` of the shortest distance there was: the atoms of such pairs are drawn again.
    Raises BenchsuiteError where that does not succeed, the displacement being too large for the structure.
    """
    from scipy.spatial import cKDTree

    if rms_A == 0 or len(positions) < 2:
        return positions + 0.0
    shortest = shortest_distance(positions)
    shifts = rng.standard_normal(positions.shape)
    for _ in range(MAX_DRAWS):
        moved = positions + shifts * (rms_A / np.sqrt((shifts**2).sum(axis=1).mean()))
        near = np.unique(cKDTree(moved).query_pairs(min_fraction * shortest, output_type="ndarray"))
        if not len(near):
            return moved
        shifts[near] = rng.standard_normal((len(near), 3))
    raise BenchsuiteError(
        f"phantom.displacement_rms_A: {rms_A:g} Å is too large for atoms {shortest:.2f} Å apart: pairs come nearer than "
        f"{min_fraction * shortest:.2f} Å however often they are drawn"
    )


def shortest_distance(positions: np.ndarray) -> float:
    """Return the distance of the nearest two of at least two positions (n, 3)."""
    from scipy.spatial import cKDTree

    distances = np.asarray(cKDTree(positions).query(positions, k=2)[0])
    return float(distances[:, 1].min())


def bounding_sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the centre (3,) and the radius of the smallest sphere around points (n, 3), to about 0.1% of the radius.

    Steps of 1/k towards the farthest point (Bădoiu & Clarkson, Proc. SODA (2003) 801).
    """
    centre = points.mean(axis=0)
    for k in range(2, 1002):
        farthest = points[np.argmax(((points - centre) ** 2).sum(axis=1))]
        centre = centre + (farthest - centre) / k
    return centre, float(np.linalg.norm(points - centre, axis=1).max())


def centred(positions: np.ndarray) -> np.ndarray:
    """Return the positions about the centre of their smallest enclosing sphere, to 1e-8 Å: what fits any tilt best."""
    return np.round(positions - bounding_sphere(positions)[0], 8)
