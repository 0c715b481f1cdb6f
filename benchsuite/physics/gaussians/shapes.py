"""The radial shape of an atom's potential, as a sum of Gaussians: one for atoms of no known element, or tabulated elements."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchsuite.errors import BenchsuiteError
from benchsuite.physics.electrons import interaction_per_VA

WIDTHS_A2 = np.geomspace(0.01, 6.0, 9)  # of the Gaussians that tabulated potentials are made of
MAX_FITTED_PER_A = 4.0  # up to this frequency, beyond what a pixel of 0.2 Å resolves


@dataclass(frozen=True)
class Shape:
    """An atom of weight W is Σ_k W parts[k] of normalised Gaussians exp(−r²/(widths_A2[k] + B)); the parts add up to 1."""

    parts: np.ndarray
    widths_A2: np.ndarray


GAUSSIAN = Shape(np.ones(1), np.zeros(1))


@functools.cache
def tabulated(element: str, energy_keV: float) -> tuple[Shape, float]:
    """Return the shape of an element's potential at rest (Lobato & Van Dyck 2014) and its weight σ∫V d³r in rad Å².

    The Gaussians of `WIDTHS_A2` are fitted to the tabulated scattering factor up to `MAX_FITTED_PER_A` by least
    squares with parts ≥ 0. Raises BenchsuiteError for an element that is not in the table.
    I. Lobato, D. Van Dyck, Acta Cryst. A 70 (2014) 636.
    """
    from abtem.parametrizations import LobatoParametrization
    from scipy.optimize import nnls

    table = LobatoParametrization()
    if element not in table.parameters:
        known = f"{len(table.parameters)} elements, from {next(iter(table.parameters))} to {list(table.parameters)[-1]}"
        raise BenchsuiteError(f"{element} has no tabulated potential; there are {known}")
    q = np.linspace(0.02, MAX_FITTED_PER_A, 400)
    projected: Any = table.projected_scattering_factor(element)
    factor = np.asarray(projected(q**2), dtype=np.float64)
    gaussians = np.exp(-np.outer(q**2, np.pi**2 * WIDTHS_A2))
    parts, _ = nnls(gaussians * np.sqrt(q)[:, None], factor * np.sqrt(q))
    used = parts > 1e-4 * parts.sum()
    whole = float(parts[used].sum())
    return Shape(parts[used] / whole, WIDTHS_A2[used]), whole * interaction_per_VA(energy_keV)
