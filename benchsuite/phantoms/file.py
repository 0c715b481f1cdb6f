"""A specimen from any file that ASE reads: its last frame, without its cell."""

from __future__ import annotations

import hashlib

import numpy as np
from ase import Atoms
from pydantic import Field

from benchsuite.contract.phantom import Phantom
from benchsuite.params import NonNegative
from benchsuite.params import Params as Base
from benchsuite.phantoms.atoms_file import file_bytes, read_atoms
from benchsuite.phantoms.shape import centred, displaced

KEY = "phantom.path"


class FilePhantom(Phantom["FilePhantom.Params"]):
    title = "Atoms from a file (xyz, cif, vasp, pdb, ...)"
    reference = "ASE, Larsen et al. (2017), doi:10.1088/1361-648X/aa680e"

    class Params(Base):
        path: str = Field(min_length=1, description="File of atoms; a relative path starts from the working directory")
        centre: bool = Field(True, description="Centring of the smallest enclosing sphere in the box")
        displacement_rms_A: NonNegative = Field(0.0, description="RMS length in Å of additional random static displacements (3D)")

    def outside_content(self) -> str:
        return hashlib.sha256(file_bytes(self.params.path, KEY)).hexdigest()

    def build(self, rng: np.random.Generator) -> Atoms:
        """Return the atoms of the file. A periodic cell is dropped, not repeated. Raises BenchsuiteError with the path."""
        found = read_atoms(self.params.path, KEY)
        moved = displaced(rng, found.positions, self.params.displacement_rms_A)
        atoms = Atoms(found.get_chemical_symbols(), centred(moved) if self.params.centre else np.round(moved, 8))
        atoms.info = found.info
        return atoms
