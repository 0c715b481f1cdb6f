"""A specimen from any file that ASE reads: one frame, its cell dropped, centred on its centroid."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from ase import Atoms
from pydantic import Field

from benchsuite.contract import Phantom
from benchsuite.errors import BenchsuiteError
from benchsuite.params import NonNegative
from benchsuite.params import Params as Base
from benchsuite.phantoms.shape import displaced


class FilePhantom(Phantom["FilePhantom.Params"]):
    title = "atoms from a file (xyz, cif, vasp, pdb, ...)"
    reference = "ASE, Larsen et al. (2017), doi:10.1088/1361-648X/aa680e"

    class Params(Base):
        path: str = Field(description="relative paths are looked up from the current folder")
        displacement_rms_A: NonNegative = Field(0.0, description="RMS length of extra static displacements")

    def outside_content(self) -> str:
        return hashlib.sha256(self._file().read_bytes()).hexdigest()

    def build(self, rng: np.random.Generator) -> Atoms:
        from ase.io import read

        file = self._file()
        try:
            found = read(file)
        except Exception as error:  # every format raises its own kind
            raise BenchsuiteError(f"phantom.path {file}: ASE cannot read it: {type(error).__name__}: {error}") from error
        if not isinstance(found, Atoms) or len(found) == 0:
            raise BenchsuiteError(f"phantom.path {file}: holds no atoms")
        return Atoms(found.get_chemical_symbols(), displaced(rng, found.positions, self.params.displacement_rms_A))

    def _file(self) -> Path:
        file = Path(self.params.path)
        if not file.is_file():
            raise BenchsuiteError(f"phantom.path {file}: no such file")
        return file
