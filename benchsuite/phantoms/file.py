"""Atoms from any file that ASE reads: its last frame, without its cell, checked."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from ase import Atoms
from pydantic import Field

from benchsuite.contract.phantom import Phantom
from benchsuite.data import SUBSTRATE
from benchsuite.errors import BenchsuiteError
from benchsuite.params import NonNegative
from benchsuite.params import Params as Base
from benchsuite.phantoms.shape import centred, displaced

MIN_DISTANCE_A = 0.5
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


def read_atoms(path: str, key: str) -> Atoms:
    """Return the atoms of a file, with its array `substrate` if it has one. A periodic cell is dropped, not repeated.

    Raises BenchsuiteError with the key of the scenario and the path for what is no file of atoms, or of impossible ones.
    """
    from ase.io import read

    file_bytes(path, key)  # reports a file that cannot be read at all better than ASE does
    try:
        found = read(Path(path).resolve(), do_not_split_by_at_sign=True)
    except Exception as error:  # every format raises its own kind
        raise _error(path, key, f"ASE cannot read it: {type(error).__name__}: {error}") from error
    if not isinstance(found, Atoms) or len(found) == 0:
        raise _error(path, key, "holds no atoms")
    _check(path, key, found)
    atoms = Atoms(found.get_chemical_symbols(), found.positions)
    if found.arrays.get(SUBSTRATE, np.empty(0)).dtype == bool:
        atoms.set_array(SUBSTRATE, found.arrays[SUBSTRATE])
    atoms.info = {"file": Path(path).name}
    return atoms


def file_bytes(path: str, key: str) -> bytes:
    """Return the content of a file. Raises BenchsuiteError with the key and the path."""
    file = Path(path)
    try:
        if not file.exists():
            raise _error(path, key, f"no such file (looked in {Path.cwd()})" if not file.is_absolute() else "no such file")
        if not file.is_file():
            raise _error(path, key, "is not a file")
        return file.read_bytes()
    except (OSError, ValueError) as error:
        raise _error(path, key, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _check(path: str, key: str, atoms: Atoms) -> None:
    from scipy.spatial import cKDTree

    if not np.isfinite(atoms.positions).all():
        raise _error(path, key, "has a position that is not a finite number")
    unknown = np.flatnonzero(atoms.numbers < 1)
    if len(unknown):
        raise _error(path, key, f"atom {unknown[0] + 1} ({atoms.symbols[unknown[0]]}) is no chemical element")
    pairs = cKDTree(atoms.positions).query_pairs(MIN_DISTANCE_A, output_type="ndarray")
    if len(pairs):
        i, j = pairs[0]
        distance = np.linalg.norm(atoms.positions[i] - atoms.positions[j])
        raise _error(path, key, f"atoms {i + 1} and {j + 1} are {distance:.2f} Å apart; at least {MIN_DISTANCE_A} Å are needed")


def _error(path: str, key: str, message: str) -> BenchsuiteError:
    return BenchsuiteError(f"{key} {path}: {message}")
