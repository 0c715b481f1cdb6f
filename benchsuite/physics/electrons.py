"""The fast electron: wavelength and interaction constant.

Kirkland, Advanced Computing in Electron Microscopy (2020), eqs. 2.5 and 5.6; CODATA 2018 constants.
"""

from __future__ import annotations

import math

PLANCK_C_EV_A = 12398.419843320026
REST_ENERGY_EV = 510998.95


def wavelength_A(energy_keV: float) -> float:
    """Return the relativistic electron wavelength in Å."""
    energy = energy_keV * 1e3
    return PLANCK_C_EV_A / math.sqrt(energy * (2 * REST_ENERGY_EV + energy))


def interaction_per_VA(energy_keV: float) -> float:
    """Return the interaction constant σ: the phase in rad that 1 V over 1 Å adds to the electron wave."""
    energy = energy_keV * 1e3
    return 2 * math.pi / (wavelength_A(energy_keV) * energy) * (REST_ENERGY_EV + energy) / (2 * REST_ENERGY_EV + energy)
