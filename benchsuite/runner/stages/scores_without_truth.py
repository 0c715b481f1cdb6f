"""What can be said of an answer to which no truth is known: R-factor, half sets, spectrum, distances between traced atoms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from benchsuite.data import TiltSeries, Volume
from benchsuite.metrics.matching.registration import register, remarks
from benchsuite.metrics.resolution import fourier_shell_correlation, resolution_at
from benchsuite.metrics.scores import r_factor
from benchsuite.metrics.spectrum import bragg_peaks, curves_of, resolutions, spectral_amplitude
from benchsuite.metrics.structure import pair_distribution
from benchsuite.metrics.tracing.classify import NON_ATOM
from benchsuite.physics.projection.projector import Projector
from benchsuite.runner.stages.reconstruction import FOLDER as RECONSTRUCTION
from benchsuite.storage import load_reconstruction

HALF_SETS_THRESHOLD = 0.143  # between two noisy halves: Rosenthal & Henderson (2003), doi:10.1016/j.jmb.2003.07.013
UNSCORED = "traced"  # outcome of an atom that nothing is known about
Values = dict[str, float]
Curves = dict[str, np.ndarray]


def volume_alone_scores(volume: Volume, series: TiltSeries) -> tuple[Values, Curves]:
    """Return R-factor of the volume's projections (of images) and last spectral peaks, with their curves."""
    values, curves = Values(), Curves()
    if series.modality != "4dstem":
        values["r_factor"], curves["r_factor_per_image"] = projection_r_factor(volume, series)
    spectrum = spectral_amplitude(volume.data, volume.voxel_A)
    values |= {f"resolution_{axis}_A": last for axis, last in resolutions(bragg_peaks(spectrum)).items()}
    return values, curves | curves_of(spectrum)


def projection_r_factor(volume: Volume, series: TiltSeries) -> tuple[float, np.ndarray]:
    """Return Σ|I − I_calc| / Σ|I| of the volume's projections, overall and per image, with one scale for the whole series."""
    measured = series.data.mean(axis=1)
    projector = Projector(series.rotations, volume.grid, measured.shape[1:], series.scan_step_A)
    return r_factor(measured, projector.forward(volume.data))


def half_set_scores(halves: Sequence[Path]) -> tuple[Values, Curves]:
    """Return the Fourier shell correlation between the reconstructions of half sets, and its resolution; nothing of atoms."""
    volumes = [load_reconstruction(half / RECONSTRUCTION).volume for half in halves]
    present = [volume for volume in volumes if volume is not None]
    if len(present) != 2:
        return {}, {}
    frequency, shells = fourier_shell_correlation(present[0].data, present[1].data, present[0].voxel_A)
    resolution = resolution_at(frequency, shells, HALF_SETS_THRESHOLD)
    return {"resolution_half_sets_A": resolution}, {"fsc_half_sets_frequency": frequency, "fsc_half_sets_correlation": shells}


def unscored(traced: Atoms) -> tuple[Values, Curves, Atoms]:
    """Return how many atoms were traced, by element, their pair distribution, and the atoms with outcomes that judge none."""
    symbols = np.array(traced.get_chemical_symbols(), dtype="U2")
    atoms = symbols != NON_ATOM
    values = {"n_traced": int(atoms.sum())}
    values |= {f"n_traced_{element}": int((symbols == element).sum()) for element in sorted(set(symbols[atoms].tolist()))}
    if "ambiguous" in traced.arrays:
        values["n_ambiguous"] = int(traced.arrays["ambiguous"][atoms].sum())
    marked = traced.copy()
    marked.set_array("outcome", np.where(atoms, UNSCORED, "non_atom").astype("U14"))
    marked.set_array("displacement_A", np.full(len(traced), np.nan))
    distance, found = pair_distribution(traced.positions[atoms])
    return dict(values), {"pdf_distance_A": distance, "pdf_traced": found}, marked


def registered(specimen: Atoms, particle: Atoms, traced: Atoms, least_fit: float) -> tuple[Atoms | None, Values, list[str]]:
    """Return a truth of unknown frame in the frame of the traced atoms, with the transformation as values and in words.

    None where it fits nowhere, which is no result of the reconstruction, or cannot be judged.
    """
    atoms = traced[[symbol != NON_ATOM for symbol in traced.get_chemical_symbols()]]
    try:
        found = register(particle, atoms)
    except ValueError as error:
        return None, {}, [f"truth not registered: {error}"]
    values = {"registration_fit": found.best.fit, "registration_mirrored_fit": found.mirrored.fit}
    values |= {f"registration_{r}{c}": float(found.best.rotation[i, j]) for i, r in enumerate("xyz") for j, c in enumerate("xyz")}
    values |= {f"registration_shift_{axis}_A": float(found.best.shift_A[k]) for k, axis in enumerate("xyz")}
    told = list(remarks(found, least_fit))
    if found.best.fit < least_fit:
        return None, {name: values[name] for name in ("registration_fit", "registration_mirrored_fit")}, told
    placed = specimen.copy()
    placed.positions = found.best.applied(specimen.positions)
    return placed, values, told
