"""An amorphous film under any particle, such as the carbon on which experiments lay theirs.

The film is normal to the beam at zero tilt and cut off by a sphere about the particle: it stays within the box whatever the tilt.
Its atoms are marked by the array `substrate` of the ground truth; they scatter, but belong to no answer.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from pydantic import Field

from benchsuite.data import SUBSTRATE
from benchsuite.errors import BenchsuiteError
from benchsuite.params import NonNegative, Pair, Params, Positive
from benchsuite.phantoms.amorphous import packing
from benchsuite.phantoms.quantities import Element, Length
from benchsuite.phantoms.shape import bounding_sphere

DALTON_PER_A3 = 1.66053907  # g/cm³


class Substrate(Params):
    element: Element = Field("C", description="Element of the film")
    thickness_A: Length = Field(20.0, description="Thickness of the film")
    density_g_per_cm3: Positive = Field(2.0, description="Mass density: 1.8 to 2.2 for evaporated carbon")
    nearest_A: Pair = Field((1.40, 1.55), description="Allowed range of the nearest-neighbour distance")
    gap_A: NonNegative = Field(2.0, description="Gap between the film and the nearest atom of the particle along the beam")
    side: Literal["below", "above"] = Field("below", description="Side of the particle: below (beam exit) or above (beam entrance)")
    radius_A: Length | None = Field(
        None, description="Radius of the sphere that cuts the film; default: 3 Å more than the particle needs"
    )

    def under(self, atoms: Atoms, rng: np.random.Generator) -> Atoms:
        """Return the particle, where it is, with a film under it. Raises BenchsuiteError where the sphere does not reach it."""
        sign = 1.0 if self.side == "below" else -1.0
        near = float((sign * atoms.positions[:, 2]).max()) + self.gap_A
        radius = self.radius_A or bounding_sphere(atoms.positions)[1] + 3.0
        if near >= radius:
            raise BenchsuiteError(
                f"phantom.substrate.radius_A: the film would begin {near:.1f} Å from the centre, outside the sphere of "
                f"{radius:.1f} Å that cuts it"
            )
        mass = float(atomic_masses[atomic_numbers[self.element]])
        density = self.density_g_per_cm3 / (DALTON_PER_A3 * mass)
        everywhere = packing(rng, round(density * 4 / 3 * np.pi * radius**3), radius, *self.nearest_A)
        depth = sign * everywhere[:, 2]
        film = np.round(everywhere[(depth >= near) & (depth <= near + self.thickness_A)], 8)
        both = atoms + Atoms([self.element] * len(film), film)
        both.info = {**atoms.info, "n_substrate": len(film), "substrate_density_per_A3": round(density, 5)}
        both.set_array(SUBSTRATE, np.arange(len(both)) >= len(atoms))
        return both
