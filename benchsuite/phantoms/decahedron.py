"""A five-fold twinned particle (Marks decahedron) such as the Pt particle of LOT: p = q = r = 9 gives its 25,790 atoms.

The faces are counted as in ASE: p atoms along a {100} face perpendicular to the five-fold axis, q atoms parallel to it, and
re-entrances r atoms deep (Marks, J. Cryst. Growth 61 (1983) 556, doi:10.1016/0022-0248(83)90184-7).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from ase import Atoms
from pydantic import Field

from benchsuite.contract.phantom import Phantom
from benchsuite.params import Integer, NonNegative, Params
from benchsuite.phantoms.lattice import random_orientation
from benchsuite.phantoms.particle import finished
from benchsuite.phantoms.quantities import Element, LatticeConstant, LayerCount
from benchsuite.physics.rotations import rotation

# a grain in ASE's frame, five-fold axis along z: [-1 1 0] along z and [0 0 1], between its twin planes, along −y
GRAIN = np.stack([np.array([1, 1, 0]) / np.sqrt(2), np.array([0, 0, -1]), np.array([-1, 1, 0]) / np.sqrt(2)])
GRAINS = [rotation("z", 72 * number) @ GRAIN for number in range(5)]
Depth = Annotated[Integer, Field(ge=0, le=200)]


class Decahedron(Phantom["Decahedron.Params"]):
    title = "Marks decahedron: particle with five-fold twinning"
    reference = "Mao, Cui & Yu (2024), doi:10.48550/arXiv.2401.12466, model M0"

    class Params(Params):
        element: Element = Field("Pt", description="Element of all atoms")
        lattice_A: LatticeConstant = Field(3.92, description="Lattice constant of the fcc cell in Å")
        p: LayerCount = Field(3, description="Atoms along a {100} face, perpendicular to the five-fold axis")
        q: LayerCount = Field(3, description="Atoms along a {100} face, parallel to the five-fold axis")
        r: Depth = Field(2, description="Depth of the re-entrant edges in atoms")
        displacement_rms_A: NonNegative = Field(0.0, description="RMS length in Å of the random static displacements (3D)")
        zone_axis_clearance_deg: float = Field(
            4.0,
            ge=0,
            le=6,
            description="Smallest allowed angle between a ⟨100⟩, ⟨110⟩ or ⟨111⟩ direction of a grain and the beam or the y axis",
        )

    def build(self, rng: np.random.Generator) -> Atoms:
        from ase.cluster import Decahedron as Cluster

        p = self.params
        cluster = Cluster(p.element, p.p, p.q, p.r, latticeconstant=p.lattice_A)
        sites = cluster.positions - cluster.positions.mean(axis=0)
        orientation, distance_deg = random_orientation(rng, p.zone_axis_clearance_deg, GRAINS)
        atoms = finished(rng, np.full(len(sites), p.element), sites @ orientation.T, p.displacement_rms_A)
        atoms.info |= {"lattice_A": p.lattice_A, "zone_axis_deg": round(distance_deg, 2)}
        return atoms
