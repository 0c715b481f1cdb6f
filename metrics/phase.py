"""The phase that a specimen adds to a wave, slice by slice, and how well a reconstruction agrees with it.

    φ_k(r) = σ Σ_{atoms in slice k} ∫V dz,

with tabulated potentials (Lobato & Van Dyck, Acta Cryst. A70 (2014) 636, doi:10.1107/S205327331401643X), exact at every frequency
that the pixels hold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from benchsuite.data import Grid
from benchsuite.physics.electrons import interaction_per_VA


def slice_phases(atoms: Atoms, grid: Grid, edges_A: np.ndarray, energy_keV: float) -> np.ndarray:
    """Return (slices, ny, nx) float32 in rad, on the lateral pixels of the grid, of slices between the depths `edges_A`."""
    from abtem.parametrizations import LobatoParametrization

    table: Any = LobatoParametrization()
    _, ny, nx = grid.shape
    qy, qx = np.fft.fftfreq(ny, grid.voxel_A), np.fft.rfftfreq(nx, grid.voxel_A)
    squared = qy[:, None] ** 2 + qx**2
    places = np.searchsorted(edges_A, atoms.positions[:, 2], side="right") - 1
    corner = grid.origin_A[:2]
    spectra = np.zeros((len(edges_A) - 1, ny, len(qx)), np.complex128)
    for symbol in sorted(set(atoms.get_chemical_symbols())):
        factor = interaction_per_VA(energy_keV) * np.asarray(table.projected_scattering_factor(symbol)(squared))
        of_element = np.array(atoms.get_chemical_symbols()) == symbol
        for k in np.unique(places[of_element & (places >= 0) & (places < len(spectra))]):
            x, y = (atoms.positions[of_element & (places == k), :2] - corner).T
            spectra[k] += factor * (np.exp(-2j * np.pi * qy[:, None] * y) @ np.exp(-2j * np.pi * np.outer(x, qx)))
    return np.fft.irfft2(spectra / grid.voxel_A**2, s=(ny, nx)).astype(np.float32)


def correlation(found: np.ndarray, truth: np.ndarray) -> float:
    """Return Pearson's coefficient of two images; nan where one is constant."""
    a, b = (image.astype(np.float64).ravel() - image.mean(dtype=np.float64) for image in (found, truth))
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else float("nan")


def correlations(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return (k, k): row i, how slice i of a reconstruction (k, ny, nx) correlates with every slice of the truth."""
    return np.array([[correlation(one, other) for other in truth] for one in found])
