"""A rocksalt nanoparticle such as BaO (5.54 Å: Zollweg, Phys. Rev. 100 (1955) 671, doi:10.1103/PhysRev.100.671)."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from pydantic import Field

from benchsuite.contract import Phantom
from benchsuite.params import Count, NonNegative, Positive
from benchsuite.params import Params as Base
from benchsuite.phantoms.core_shell import FCC
from benchsuite.phantoms.elements import Element
from benchsuite.phantoms.shape import crystal_particle, displaced

ROCKSALT = np.concatenate([FCC, FCC + [0.5, 0, 0]])


class Rocksalt(Phantom["Rocksalt.Params"]):
    title = "rocksalt nanoparticle of irregular shape"
    reference = "Lee et al. (2023), sec. II A"

    class Params(Base):
        cation: Element = "Ba"
        anion: Element = "O"
        lattice_A: Positive = Field(5.54, description="lattice constant")
        diameter_A: Positive = Field(18.0, description="diameter of the sphere of equal volume")
        atoms: Count | None = Field(None, description="exactly this many atoms, whatever the diameter")
        displacement_rms_A: NonNegative = Field(0.20, description="RMS length of the static displacements")
        irregularity: float = Field(0.1, ge=0, le=0.3, description="RMS relative deviation of the surface from a sphere")

    def build(self, rng: np.random.Generator) -> Atoms:
        p = self.params
        sites, which = crystal_particle(rng, p.lattice_A, ROCKSALT, p.diameter_A, p.irregularity, p.atoms)
        symbols = np.where(which < len(FCC), p.cation, p.anion)
        atoms = Atoms(symbols.tolist(), displaced(rng, sites, p.displacement_rms_A))
        atoms.info = {f"n_{symbol}": int((symbols == symbol).sum()) for symbol in (p.cation, p.anion)}
        return atoms
