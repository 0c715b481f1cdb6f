"""A core-shell nanoparticle: fcc, irregular shape, displaced atoms; the outermost layers are of another element.

Modelled on the CuAu particle of Lee et al. (2023), sec. II A: 3.78 Å, RMS displacement 20 pm, and a core cut out by an alpha
shape with shrink factor 0.9, 576 of 1602 atoms. Here the shell is taken off in layers, each the atoms on the surface of the
alpha shape of what is left, with radius

    α = (a/2) / shrink,

a/2 being the radius of the largest hole of the fcc lattice: a shrink factor of 1 gives the tightest shape that leaves the
crystal solid, 0 its convex hull. Layers are taken until at most 45% of the atoms are left: two from 1602 atoms, which leaves a
core of about 560, and one from 230, which leaves about 85.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from ase import Atoms
from pydantic import Field

from benchsuite.contract.phantom import Phantom
from benchsuite.params import Integer
from benchsuite.phantoms.alpha_shape import surface_points
from benchsuite.phantoms.lattice import FCC
from benchsuite.phantoms.particle import ParticleParams, crystal_particle, finished
from benchsuite.phantoms.quantities import Element, LatticeConstant

CORE_FRACTION = 0.45  # layers are taken off until at most this fraction of the atoms is left
Layers = Annotated[Integer, Field(ge=0)]


class CoreShell(Phantom["CoreShell.Params"]):
    title = "Core-shell fcc nanoparticle of irregular shape"
    reference = "Lee et al. (2023), sec. II A"

    class Params(ParticleParams):
        core: Element = Field("Cu", description="Element of the core")
        shell: Element = Field("Au", description="Element of the shell")
        lattice_A: LatticeConstant = Field(3.78, description="Lattice constant of the fcc cell in Å")
        shell_layers: Layers | None = Field(
            None, description="Alpha-shape layers of the shell; default: as many as leave at most 45% of the atoms in the core"
        )
        shrink_factor: float = Field(0.9, ge=0, le=1, description="Shrink factor of the alpha shape: 0 convex hull, 1 tightest")

    def build(self, rng: np.random.Generator) -> Atoms:
        p = self.params
        sites, _, zone_axis_deg = crystal_particle(rng, p, p.lattice_A, FCC)
        in_core = core_sites(sites, p.shell_layers, p.lattice_A / 2 / p.shrink_factor if p.shrink_factor else np.inf)
        atoms = finished(rng, np.where(in_core, p.core, p.shell), sites, p.displacement_rms_A)
        atoms.info |= {"n_core": int(in_core.sum()), "n_shell": int((~in_core).sum())}
        atoms.info |= {"lattice_A": p.lattice_A, "zone_axis_deg": round(zone_axis_deg, 2)}
        return atoms


def core_sites(sites: np.ndarray, layers: int | None, alpha_A: float) -> np.ndarray:
    """Return the mask (n,) of sites left after that many alpha-shape layers, or at most CORE_FRACTION of them for None."""
    inside, taken = np.arange(len(sites)), 0
    while taken < layers if layers is not None else len(inside) > CORE_FRACTION * len(sites):
        inside, taken = np.delete(inside, surface_points(sites[inside], alpha_A)), taken + 1
    mask = np.zeros(len(sites), dtype=bool)
    mask[inside] = True
    return mask
