"""A specimen from any file that ASE reads: its last frame, without its cell."""

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
from benchsuite.phantoms.shape import centred, displaced

LEAST_DISTANCE_A = 0.5


class FilePhantom(Phantom["FilePhantom.Params"]):
    title = "atoms from a file (xyz, cif, vasp, pdb, ...)"
    reference = "ASE, Larsen et al. (2017), doi:10.1088/1361-648X/aa680e"

    class Params(Base):
        path: str = Field(min_length=1, description="file of atoms; a relative path starts from the folder benchsuite is run in")
        centre: bool = Field(True, description="put the centre of the smallest enclosing sphere at the centre of the box")
        displacement_rms_A: NonNegative = Field(0.0, description="RMS length in Å of extra static displacements")

    def outside_content(self) -> str:
        return hashlib.sha256(self._bytes()).hexdigest()

    def build(self, rng: np.random.Generator) -> Atoms:
        """Return the atoms of the file. A periodic cell is dropped, not repeated. Raises BenchsuiteError with the path."""
        from ase.io import read

        self._bytes()  # reports a file that cannot be read at all better than ASE does
        file = Path(self.params.path).resolve()
        try:
            found = read(file, do_not_split_by_at_sign=True)
        except Exception as error:  # every format raises its own kind
            raise self._error(f"ASE cannot read it: {type(error).__name__}: {error}") from error
        if not isinstance(found, Atoms) or len(found) == 0:
            raise self._error("holds no atoms")
        self._check(found)
        moved = displaced(rng, found.positions, self.params.displacement_rms_A)
        atoms = Atoms(found.get_chemical_symbols(), centred(moved) if self.params.centre else np.round(moved, 8))
        atoms.info = {"file": Path(self.params.path).name}
        return atoms

    def _bytes(self) -> bytes:
        file = Path(self.params.path)
        if not file.exists():
            raise self._error(f"no such file (looked in {Path.cwd()})" if not file.is_absolute() else "no such file")
        if not file.is_file():
            raise self._error("is not a file")
        try:
            return file.read_bytes()
        except OSError as error:
            raise self._error(f"cannot be read: {error.strerror}") from error

    def _check(self, atoms: Atoms) -> None:
        from scipy.spatial import cKDTree

        if not np.isfinite(atoms.positions).all():
            raise self._error("has a position that is not a finite number")
        unknown = np.flatnonzero(atoms.numbers < 1)
        if len(unknown):
            raise self._error(f"atom {unknown[0] + 1} ({atoms.symbols[unknown[0]]}) is no chemical element")
        pairs = cKDTree(atoms.positions).query_pairs(LEAST_DISTANCE_A, output_type="ndarray")
        if len(pairs):
            i, j = pairs[0]
            distance = np.linalg.norm(atoms.positions[i] - atoms.positions[j])
            raise self._error(f"atoms {i + 1} and {j + 1} are {distance:.2f} Å apart; at least {LEAST_DISTANCE_A} Å are needed")

    def _error(self, message: str) -> BenchsuiteError:
        return BenchsuiteError(f"phantom.path {self.params.path}: {message}")
