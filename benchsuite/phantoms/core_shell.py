"""A core-shell nanoparticle: fcc, irregular shape, displaced atoms; the outermost layers are of another element.

The CuAu particle of Lee et al., Nano Lett. (2023), sec. II A (3.78 Å, RMS displacement 20 pm, alpha shape with shrink factor
0.9): 1602 atoms with 576 in the core means that two alpha-shape layers form the shell.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from pydantic import Field

from benchsuite.contract import Phantom
from benchsuite.params import Count, NonNegative, Positive
from benchsuite.params import Params as Base
from benchsuite.phantoms.alpha_shape import surface_points
from benchsuite.phantoms.elements import Element
from benchsuite.phantoms.shape import crystal_particle, displaced

FCC = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


class CoreShell(Phantom["CoreShell.Params"]):
    title = "fcc core-shell nanoparticle of irregular shape"
    reference = "Lee et al. (2023), sec. II A"

    class Params(Base):
        core: Element = "Cu"
        shell: Element = "Au"
        lattice_A: Positive = Field(3.78, description="fcc lattice constant")
        diameter_A: Positive = Field(18.0, description="diameter of the sphere of equal volume")
        atoms: Count | None = Field(None, description="exactly this many atoms, whatever the diameter")
        displacement_rms_A: NonNegative = Field(0.20, description="RMS length of the static displacements")
        irregularity: float = Field(0.1, ge=0, le=0.3, description="RMS relative deviation of the surface from a sphere")
        shell_layers: int = Field(2, ge=0, description="alpha-shape layers that form the shell")
        shrink_factor: float = Field(0.9, ge=0, le=1, description="of the alpha shape: 0 convex hull, 1 tightest")

    def build(self, rng: np.random.Generator) -> Atoms:
        p = self.params
        sites, _ = crystal_particle(rng, p.lattice_A, FCC, p.diameter_A, p.irregularity, p.atoms)
        in_core = core_sites(sites, p.shell_layers, p.shrink_factor)
        atoms = Atoms(np.where(in_core, p.core, p.shell).tolist(), displaced(rng, sites, p.displacement_rms_A))
        atoms.info = {"n_core": int(in_core.sum()), "n_shell": int((~in_core).sum()), "lattice_A": p.lattice_A}
        return atoms


def core_sites(sites: np.ndarray, layers: int, shrink: float) -> np.ndarray:
    """Return the boolean mask (n,) of sites left after peeling that many alpha-shape layers."""
    inside = np.arange(len(sites))
    for _ in range(layers):
        inside = np.delete(inside, surface_points(sites[inside], shrink))
    mask = np.zeros(len(sites), dtype=bool)
    mask[inside] = True
    return mask
