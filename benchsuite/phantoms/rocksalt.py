"""A rocksalt nanoparticle such as BaO (5.54 Å: Zollweg, Phys. Rev. 100 (1955) 671, doi:10.1103/PhysRev.100.671)."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from pydantic import Field

from benchsuite.contract.phantom import Phantom
from benchsuite.phantoms.lattice import FCC, ROCKSALT
from benchsuite.phantoms.particle import ParticleParams, crystal_particle, finished
from benchsuite.phantoms.quantities import Element, LatticeConstant


class Rocksalt(Phantom["Rocksalt.Params"]):
    title = "Rocksalt nanoparticle of irregular shape"
    reference = "Lee et al. (2023), sec. II A"

    class Params(ParticleParams):
        cation: Element = Field("Ba", description="Element of the cations")
        anion: Element = Field("O", description="Element of the anions")
        lattice_A: LatticeConstant = Field(5.54, description="Lattice constant in Å")

    def build(self, rng: np.random.Generator) -> Atoms:
        p = self.params
        sites, basis_index, zone_axis_deg = crystal_particle(rng, p, p.lattice_A, ROCKSALT)
        is_cation = basis_index < len(FCC)
        atoms = finished(rng, np.where(is_cation, p.cation, p.anion), sites, p.displacement_rms_A)
        atoms.info |= {"n_cation": int(is_cation.sum()), "n_anion": int((~is_cation).sum())}
        atoms.info |= {"lattice_A": p.lattice_A, "zone_axis_deg": round(zone_axis_deg, 2)}
        return atoms
