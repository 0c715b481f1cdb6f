"""What nanoparticles have in common: a random surface cuts a randomly oriented crystal, and atoms are displaced."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from pydantic import Field

from benchsuite.params import NonNegative, Params
from benchsuite.phantoms.lattice import random_orientation, sites_within
from benchsuite.phantoms.quantities import AtomCount, Length
from benchsuite.phantoms.shape import MAX_RELATIVE_RADIUS, bounding_sphere, centred, displaced, random_surface, shortest_distance


class ParticleParams(Params):
    """Parameters of every irregular crystalline particle."""

    diameter_A: Length = Field(18.0, description="Diameter in Å of the sphere of equal volume; the longest extent is larger")
    atoms: AtomCount | None = Field(None, description="Number of atoms; takes precedence over the diameter")
    irregularity: float = Field(0.08, ge=0, le=0.3, description="RMS deviation of the surface from a sphere, over its radius")
    displacement_rms_A: NonNegative = Field(0.20, description="RMS length in Å of the random static displacements (3D)")
    zone_axis_clearance_deg: float = Field(
        5.0,
        ge=0,
        le=10,
        description="Smallest allowed angle between a ⟨100⟩, ⟨110⟩ or ⟨111⟩ direction and the beam or the y axis at zero tilt",
    )


def crystal_particle(
    rng: np.random.Generator, params: ParticleParams, lattice_A: float, basis: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return lattice sites (n, 3) in Å, basis indices (n,) and the angle in degrees to the nearest zone axis.

    Sites are kept where their relative radius (distance over that of the surface in the same direction) is at most half the
    diameter; with `atoms`, the sites of smallest relative radius, exactly that many.
    """
    orientation, zone_axis_deg = random_orientation(rng, params.zone_axis_clearance_deg)
    surface = random_surface(rng, params.irregularity)
    radius = params.diameter_A / 2
    if params.atoms is not None:
        radius = lattice_A * (np.cbrt(3 * params.atoms / (4 * np.pi * len(basis))) + 1)
    sites, basis_index = sites_within(radius * MAX_RELATIVE_RADIUS, lattice_A, basis, rng.uniform(0, 1, 3), orientation)
    distance = np.linalg.norm(sites, axis=1)
    relative = distance / surface(sites / np.maximum(distance, 1e-9)[:, None])
    keep = np.flatnonzero(relative <= radius) if params.atoms is None else np.argsort(relative, kind="stable")[: params.atoms]
    keep = np.sort(keep)
    return sites[keep], basis_index[keep], zone_axis_deg


def finished(rng: np.random.Generator, symbols: np.ndarray, sites: np.ndarray, rms_A: float) -> Atoms:
    """Return the atoms, displaced and centred, with what is worth knowing about their geometry in `info`."""
    positions = centred(displaced(rng, sites, rms_A))
    atoms = Atoms(symbols.tolist(), positions)
    atoms.info = geometry_facts(positions)
    return atoms


def geometry_facts(positions: np.ndarray) -> dict[str, float]:
    """Return what is worth knowing about the geometry of positions (n, 3), for `atoms.info`."""
    facts = {
        "extent_A": round(2 * bounding_sphere(positions)[1], 3),
        "radius_of_gyration_A": round(float(np.sqrt(((positions - positions.mean(axis=0)) ** 2).sum(axis=1).mean())), 3),
    }
    if len(positions) > 1:
        facts["shortest_distance_A"] = round(shortest_distance(positions), 3)
    return facts
