"""The phase that a specimen adds to a wave, slice by slice, and how well a reconstruction agrees with it.

    φ_k(r) = σ Σ_{atoms in slice k} ∫V dz,

with tabulated potentials (Lobato & Van Dyck, Acta Cryst. A70 (2014) 636, doi:10.1107/S205327331401643X), exact at every frequency
that the pixels hold.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms

from benchsuite.columns import Column, Margin
from benchsuite.contract.metric import Metric, Motion, Scored
from benchsuite.data import Grid, Preprocessed, Slices, TiltSeries, scanned
from benchsuite.params import Params
from benchsuite.physics.electrons import interaction_per_VA

CORRELATION = Margin(0.0, 0.005)


class PhaseCorrelations(Metric[Params]):
    title = "Correlation of reconstructed with true phases"
    reference = "Lobato & Van Dyck (2014), doi:10.1107/S205327331401643X, for the true phases"
    default = True
    order = 71
    columns = (
        Column(
            "phase_correlation", "Phase correlation", "", "higher", CORRELATION,
            description="Mean Pearson correlation of projected phases with the true ones, before any alignment", ranking=4,
        ),
        Column(
            "slice_correlation", "Slice correlation", "", "higher", CORRELATION,
            description="Lowest Pearson correlation of any occupied slice with the truth", ranking=3,
        ),
        Column(
            "slice_confusion", "Depth cross-talk", "", "lower", Margin(0.0, 0.01), "detail",
            "Highest Pearson correlation of an occupied slice with the truth of a different slice",
        ),
    )  # fmt: skip

    def measure(self, scored: Scored) -> Mapping[str, float]:
        if scored.specimen is None:
            return {}
        values: dict[str, float] = {}
        if scored.motion is not None:
            values |= preprocessed_phase_scores(scored.preprocessed, scored.specimen, scored.recorded, scored.motion)
        if (slices := scored.reconstruction.slices) is not None:
            values |= slice_scores(slices, scored.specimen, scored.series, scored.grid)
        return values


def preprocessed_phase_scores(
    preprocessed: tuple[Preprocessed, ...], specimen: Atoms, recorded: TiltSeries, motion: Motion
) -> dict[str, float]:
    """Return the mean correlation of phases, as they are before any alignment, with the true ones of the same tilt and drift."""
    before = itertools.takewhile(lambda one: one.shifts_A is None, preprocessed)
    phases = [one.series for one in before if one.series.modality == "phase"]
    if not phases:
        return {}
    last = phases[-1]
    inside = scanned(recorded, Grid((1, *last.scan_shape), last.scan_step_A))
    views = zip(last.data[:, 0], motion.rotations, motion.drift_A.mean(axis=1), strict=True)
    found = [correlation(image[inside], projected_phase(specimen, r, drift, last)[inside]) for image, r, drift in views]
    return {"phase_correlation": float(np.mean(found))}


def projected_phase(specimen: Atoms, rotation: np.ndarray, drift_A: np.ndarray, series: TiltSeries) -> np.ndarray:
    """Return the phase (ny, nx) in rad that a specimen adds to a wave at one tilt, on the pixels of a series of phases."""
    turned = specimen.copy()
    turned.positions = specimen.positions @ rotation.T + [*drift_A, 0.0]
    everything = np.array([-np.inf, np.inf])
    return slice_phases(turned, Grid((1, *series.scan_shape), series.scan_step_A), everything, series.optics.energy_keV)[0]


def slice_scores(slices: Slices, specimen: Atoms, series: TiltSeries, grid: Grid) -> dict[str, float]:
    """Return how the slices of one view correlate with the true phases, within the scan.

    phase_correlation: of their sum. slice_correlation: of the worst slice that holds atoms. slice_confusion: of such a slice with
    the truth of another one, at worst.
    """
    true = slice_phases(specimen, grid, slices.edges_A, series.optics.energy_keV)
    inside = scanned(series, grid)
    found, true = slices.phase[:, *inside], true[:, *inside]
    table = correlations(found, true)
    held = np.flatnonzero(true.max(axis=(1, 2)) > 0)
    same, others = table[held, held], table[np.ix_(held, held)][~np.eye(len(held), dtype=bool)]
    scores = {"phase_correlation": correlation(found.sum(axis=0), true.sum(axis=0))}
    scores |= {"slice_correlation": float(same.min())} if len(same) else {}
    return scores | ({"slice_confusion": float(others.max())} if len(others) else {})


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
