"""A spinel nanocube such as the Co3O4 cube of Romanov et al. (2025): {100} faces, lying on one of them.

Fd-3m, Co2+ on the tetrahedral sites 8a, Co3+ on the octahedral ones 16d, O on 32e: a = 8.084 Å, u = 0.2631
(Smith & Hobson, Acta Cryst. B29 (1973) 362).
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from pydantic import Field

from benchsuite.contract.phantom import Phantom
from benchsuite.params import NonNegative, Params
from benchsuite.phantoms.lattice import zone_axis_distance_deg
from benchsuite.phantoms.particle import finished
from benchsuite.phantoms.quantities import Element, LatticeConstant, Length, check_count
from benchsuite.physics.rotations import rotation, rotation_from_vector

FACE_TOLERANCE_A = 1e-6  # atoms on a face belong to the cube


class Spinel(Phantom["Spinel.Params"]):
    title = "Spinel nanocube with {100} faces"
    reference = "Romanov et al., J. Phys. Mater. 8 (2025) 015005"

    class Params(Params):
        cation: Element = Field("Co", description="Element on the tetrahedral and octahedral sites")
        anion: Element = Field("O", description="Element of the anions")
        lattice_A: LatticeConstant = Field(8.084, description="Lattice constant in Å")
        oxygen_u: float = Field(0.2631, gt=0.24, lt=0.28, description="Oxygen parameter u, origin at the centre of inversion")
        edge_A: Length = Field(30.0, description="Edge of the cube in Å")
        azimuth_deg: float = Field(12.0, description="Rotation of the cube about the beam, away from the tilt axis")
        mistilt_deg: float = Field(4.0, ge=0, le=30, description="Inclination of the lower face, in a random direction")
        displacement_rms_A: NonNegative = Field(0.0, description="RMS length in Å of the random static displacements (3D)")

    def build(self, rng: np.random.Generator) -> Atoms:
        from ase.spacegroup import crystal

        p = self.params
        basis = [(0.125,) * 3, (0.5,) * 3, (p.oxygen_u,) * 3]
        cell = crystal([p.cation, p.cation, p.anion], basis, spacegroup=227, setting=2, cellpar=[p.lattice_A] * 3 + [90.0] * 3)
        cells = int(np.ceil(p.edge_A / p.lattice_A)) + 1
        check_count(len(cell) * cells**3)
        block = cell.repeat(cells)
        corner = -rng.uniform(0, p.lattice_A, 3)
        sites = block.positions + corner
        inside = ((sites >= -FACE_TOLERANCE_A) & (sites <= p.edge_A + FACE_TOLERANCE_A)).all(axis=1)
        symbols = np.array(block.get_chemical_symbols())[inside]
        orientation = cube_orientation(rng, p.azimuth_deg, p.mistilt_deg)
        atoms = finished(rng, symbols, sites[inside] @ orientation.T, p.displacement_rms_A)
        n_cation = int((symbols == p.cation).sum())
        atoms.info |= {"n_cation": n_cation, "n_anion": len(symbols) - n_cation, "lattice_A": p.lattice_A}
        atoms.info["zone_axis_deg"] = round(zone_axis_distance_deg(orientation), 2)
        cations = cell.get_scaled_positions()[cell.numbers == atomic_numbers[p.cation]]
        moved = (atoms.positions - sites[inside] @ orientation.T).mean(axis=0)
        return with_lattice(atoms, p.cation, cations, orientation, orientation @ corner + moved)


def cube_orientation(rng: np.random.Generator, azimuth_deg: float, mistilt_deg: float) -> np.ndarray:
    """Return the (3, 3) orientation of a cube turned about z and then inclined, about an axis of random direction in the plane."""
    direction = rng.uniform(0, 2 * np.pi)
    inclination = np.deg2rad(mistilt_deg) * np.array([np.cos(direction), np.sin(direction), 0.0])
    return rotation_from_vector(inclination) @ rotation("z", azimuth_deg)


def with_lattice(atoms: Atoms, element: str, sites: np.ndarray, orientation: np.ndarray, origin_A: np.ndarray) -> Atoms:
    """Return a single crystal with its cubic lattice in `info`, beside `lattice_A`, for scores that look for it in a volume.

    crystal_element: of the sites that scatter most. crystal_sites: their fractions (m, 3) of the cubic cell, all of the cell.
    crystal_rotation_rad: rotation vector (3,) of the cube axes. crystal_origin_A: (3,), of a cell.
    """
    from scipy.spatial.transform import Rotation

    atoms.info["crystal_element"] = element
    atoms.info["crystal_sites"] = np.round(sites, 6).ravel().tolist()
    atoms.info["crystal_rotation_rad"] = Rotation.from_matrix(orientation).as_rotvec().tolist()
    atoms.info["crystal_origin_A"] = origin_A.tolist()
    return atoms
