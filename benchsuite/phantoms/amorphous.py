"""An amorphous particle: a dense random packing in a sphere, the nearest neighbour of every atom at a given distance.

As the silicon particles of Mao, Cui & Yu (2024): 25,000 atoms in 9 nm to 1,000,000 in 32 nm, about 0.058 atoms per Å³, nearest
neighbours at 2.32-2.36 Å (nLOT) or 2.32-2.53 Å (LOT). Random points are pushed apart pair by pair until none are nearer than the
lower bound, then atoms whose nearest neighbour is too far are moved towards it, in turns until both hold. At 0.39 of the volume
of spheres that touch (random close packing: 0.64) both come about in a few hundred passes, each linear in the number of atoms.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from ase import Atoms
from pydantic import Field, field_validator

from benchsuite.contract.phantom import Phantom
from benchsuite.errors import BenchsuiteError
from benchsuite.params import Pair, Params
from benchsuite.phantoms.particle import geometry_facts
from benchsuite.phantoms.quantities import AtomCount, Element, check_count
from benchsuite.phantoms.shape import centred
from benchsuite.physics.compiled import compiled

MAX_PASSES = 3000
RDF_STEP_A, RDF_MAX_DISTANCE_A = 0.1, 8.0
RDF_MAX_CENTRES = 20_000  # atoms whose neighbours are counted, at most


class Amorphous(Phantom["Amorphous.Params"]):
    title = "Amorphous particle: dense random packing in a sphere"
    reference = "Mao, Cui & Yu (2024), doi:10.48550/arXiv.2401.12466 (LOT) and its sequel on nLOT"

    class Params(Params):
        element: Element = Field("Si", description="Element of all atoms")
        atoms: AtomCount = Field(300, description="Number of atoms")
        nearest_A: Pair = Field((2.32, 2.36), description="Allowed range of the nearest-neighbour distance")
        density_per_A3: float = Field(0.058, ge=1e-3, le=1, description="Number density, which sets the radius of the sphere")

        @field_validator("nearest_A")
        @classmethod
        def _a_range(cls, value: tuple[float, float]) -> tuple[float, float]:
            if not 0 < value[0] < value[1]:
                raise ValueError("the first distance must be above 0 and below the second")
            return value

    def build(self, rng: np.random.Generator) -> Atoms:
        """Return the packing. Raises BenchsuiteError where the density leaves no room for it."""
        p = self.params
        radius = float(np.cbrt(3 * p.atoms / (4 * np.pi * p.density_per_A3)))
        positions = centred(packing(rng, p.atoms, radius, *p.nearest_A))
        atoms = Atoms([p.element] * p.atoms, positions)
        atoms.info = {**geometry_facts(positions), "density_per_A3": p.density_per_A3}
        if p.atoms > 1:
            distance, rdf = radial_distribution(positions, p.density_per_A3)
            atoms.info |= {"rdf_distance_A": np.round(distance, 3), "rdf": np.round(rdf, 4)}
        return atoms


def packing(rng: np.random.Generator, count: int, radius_A: float, min_A: float, max_A: float) -> np.ndarray:
    """Return (count, 3) positions within the radius, the nearest neighbour of each between the two distances."""
    check_count(count)
    direction = rng.standard_normal((count, 3))
    depth = np.cbrt(rng.uniform(size=count)) * radius_A
    positions = direction / np.linalg.norm(direction, axis=1, keepdims=True) * depth[:, None]
    wanted = (min_A + max_A) / 2
    for _ in range(MAX_PASSES):
        cells = cell_list(positions, max_A)
        overlapping = _push_apart(positions, *cells, min_A, wanted, radius_A)
        if overlapping:
            continue
        if count == 1 or not _pull_together(positions, *cells, min_A, max_A, wanted):
            return positions
    raise BenchsuiteError(
        f"phantom.density_per_A3: {count} atoms in a sphere of {radius_A:.2f} Å find no packing with nearest neighbours at "
        f"{min_A:g} to {max_A:g} Å; take a density well below {0.6 * 6 / np.pi / min_A**3:.3f} per Å³"
    )


def cell_list(positions: np.ndarray, side_A: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (cell of each atom (n, 3), start of each cell in the order (nx + 1, ny, nz ravelled + 1), atoms by cell).

    Cells are cubes of at least `side_A`, with an empty layer around.
    """
    cell = np.floor((positions - positions.min(axis=0)) / side_A).astype(np.int64) + 1
    shape = cell.max(axis=0) + 2
    check_count(math.prod(shape.tolist()))
    flat = np.ravel_multi_index(tuple(cell.T), tuple(shape))
    order = np.argsort(flat, kind="stable")
    start = np.searchsorted(flat[order], np.arange(int(np.prod(shape)) + 1))
    return np.concatenate([cell, np.broadcast_to(shape, (1, 3))]), start, order


@compiled
def _push_apart(positions, cell, start, order, least, wanted, radius):  # type: ignore[no-untyped-def]
    """Move every overlapping pair apart, one after the other, and what is outside the sphere onto it; return how many overlap."""
    shape, overlapping = cell[-1], 0
    for i in range(len(positions)):
        for dx in range(-1, 2):
            for dy in range(-1, 2):
                for dz in range(-1, 2):
                    here = ((cell[i, 0] + dx) * shape[1] + cell[i, 1] + dy) * shape[2] + cell[i, 2] + dz
                    for k in range(start[here], start[here + 1]):
                        j = order[k]
                        if j <= i:
                            continue
                        x = positions[j, 0] - positions[i, 0]
                        y = positions[j, 1] - positions[i, 1]
                        z = positions[j, 2] - positions[i, 2]
                        distance = np.sqrt(x * x + y * y + z * z)
                        if distance < least:
                            overlapping += 1
                            step = 0.5 * (wanted - distance) / max(distance, 1e-9)
                            positions[i, 0] -= step * x
                            positions[i, 1] -= step * y
                            positions[i, 2] -= step * z
                            positions[j, 0] += step * x
                            positions[j, 1] += step * y
                            positions[j, 2] += step * z
        outside = np.sqrt(positions[i, 0] ** 2 + positions[i, 1] ** 2 + positions[i, 2] ** 2) / radius
        if outside > 1:
            positions[i] /= outside
    return overlapping


@compiled
def _pull_together(positions, cell, start, order, least, most, wanted):  # type: ignore[no-untyped-def]
    """Move every atom without a neighbour within `most` to `wanted` of its nearest one; return how many there are."""
    shape, alone = cell[-1], 0
    for i in range(len(positions)):
        reach, nearest, best = 1, -1, np.inf
        while nearest < 0:
            for cx in range(max(cell[i, 0] - reach, 0), min(cell[i, 0] + reach + 1, shape[0])):
                for cy in range(max(cell[i, 1] - reach, 0), min(cell[i, 1] + reach + 1, shape[1])):
                    for cz in range(max(cell[i, 2] - reach, 0), min(cell[i, 2] + reach + 1, shape[2])):
                        here = (cx * shape[1] + cy) * shape[2] + cz
                        for k in range(start[here], start[here + 1]):
                            j = order[k]
                            if j == i:
                                continue
                            squared = 0.0
                            for axis in range(3):
                                squared += (positions[j, axis] - positions[i, axis]) ** 2
                            if squared < best:
                                nearest, best = j, squared
            reach += 1
        if best > most * most:
            alone += 1
            closer = 1 - wanted / np.sqrt(best)
            for axis in range(3):
                positions[i, axis] += closer * (positions[nearest, axis] - positions[i, axis])
    return alone


def radial_distribution(positions: np.ndarray, density_per_A3: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (distance in Å, g(r)): neighbours per atom, shell volume and density; 1 would be no order at all.

    Of a finite particle: g falls with distance as the surface comes near. Of large ones a regular sample of atoms is counted.
    """
    from scipy.spatial import cKDTree

    edges = np.arange(0.0, RDF_MAX_DISTANCE_A + RDF_STEP_A / 2, RDF_STEP_A)
    centres = positions[:: -(-len(positions) // RDF_MAX_CENTRES)]
    counted = cKDTree(centres).count_neighbors(cKDTree(positions), edges)
    shells = np.array([4 / 3 * np.pi * (b**3 - a**3) for a, b in pairwise(edges)])
    return (edges[1:] + edges[:-1]) / 2, np.diff(counted) / len(centres) / shells / density_per_A3
