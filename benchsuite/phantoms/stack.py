"""Thin crystals on top of one another with vacuum between: what a method that resolves depth must tell apart."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from pydantic import Field

from benchsuite.contract.phantom import Phantom
from benchsuite.params import NonNegative, Params
from benchsuite.phantoms.lattice import FCC
from benchsuite.phantoms.particle import finished
from benchsuite.phantoms.quantities import Element, LatticeConstant, LayerCount, Length, check_count
from benchsuite.physics.rotations import rotation


class Stack(Phantom["Stack.Params"]):
    title = "Thin fcc discs at several depths, rotated against one another"
    reference = "Romanov et al., J. Phys. Mater. 8 (2025) 015005 (layers of 3 nm and a depth of focus of 5 nm)"

    class Params(Params):
        element: Element = Field("Au", description="Element of all atoms")
        lattice_A: LatticeConstant = Field(4.08, description="Lattice constant of the fcc cell in Å")
        layers: LayerCount = Field(2, description="Number of discs")
        separation_A: Length = Field(60.0, description="Distance between the centres of neighbouring discs along the beam")
        cells: LayerCount = Field(1, description="Thickness of a disc in unit cells along [001]")
        radius_A: Length = Field(10.0, description="Radius of the discs")
        displacement_rms_A: NonNegative = Field(0.0, description="RMS length in Å of the random static displacements (3D)")

    def build(self, rng: np.random.Generator) -> Atoms:
        p = self.params
        reach = int(np.ceil(p.radius_A / p.lattice_A)) + 1
        across = np.arange(-reach, reach + 1)
        check_count(len(FCC) * p.layers * p.cells * len(across) ** 2)
        cells = np.stack(np.meshgrid(across, across, np.arange(p.cells), indexing="ij"), axis=-1).reshape(-1, 3)
        sites = ((cells[:, None] + FCC).reshape(-1, 3) - [0, 0, (p.cells - 0.5) / 2]) * p.lattice_A
        layers = []
        for layer in range(p.layers):
            shifted = sites + np.array([*rng.uniform(-0.5, 0.5, 2) * p.lattice_A, 0.0])
            disc = shifted[np.hypot(shifted[:, 0], shifted[:, 1]) <= p.radius_A]
            depth = p.separation_A * (layer - (p.layers - 1) / 2)
            layers.append(disc @ rotation("z", float(rng.uniform(0, 90))).T + [0, 0, depth])
        positions = np.concatenate(layers)
        atoms = finished(rng, np.full(len(positions), p.element), positions, p.displacement_rms_A)
        atoms.info["lattice_A"] = p.lattice_A
        return atoms
