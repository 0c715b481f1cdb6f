"""scores: the traced atoms against the truth, the volume against the measured images, and the curves for figures."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from benchsuite.atomic import write_text
from benchsuite.data import Grid, Preprocessed, Slices, TiltSeries, Volume, particle_of, scanned, substrate_of
from benchsuite.metrics.alignment import alignment_error
from benchsuite.metrics.lattice import find_lattice, misorientation_deg
from benchsuite.metrics.phase import correlation, correlations, slice_phases
from benchsuite.metrics.resolution import fourier_shell_correlation, render, resolution_at
from benchsuite.metrics.scores import Scores, score
from benchsuite.metrics.sites import find_sites
from benchsuite.metrics.structure import outside, pair_distribution
from benchsuite.physics.rotations import rotation_from_vector
from benchsuite.runner.stages.atoms import FILE as TRACED
from benchsuite.runner.stages.atoms import AtomsStage
from benchsuite.runner.stages.base import Bench, Stage
from benchsuite.runner.stages.measured_truth import MeasuredTruthStage
from benchsuite.runner.stages.phantom import PhantomStage, truth
from benchsuite.runner.stages.reconstruction import FOLDER as RECONSTRUCTION
from benchsuite.runner.stages.scores_without_truth import half_set_scores, registered, unscored, volume_alone_scores
from benchsuite.runner.stages.series import IMPERFECTIONS
from benchsuite.scenario import Experiment
from benchsuite.storage import (
    SERIES,
    json_safe,
    load_atoms,
    load_preprocessed,
    load_reconstruction,
    load_series,
    save_arrays,
    save_atoms,
)

VALUES = "values.json"
CURVES = "curves.zarr"
TRUTH_SCORED = "truth_scored.extxyz"
TRACED_SCORED = "traced_scored.extxyz"
FSC_THRESHOLD = 0.5  # against a noise-free reference (Rosenthal & Henderson 2003); 0.143 is for two noisy halves
ATOM_SIGMA_A = 0.4  # width of the atoms in the reference volume; the correlation of a shell hardly depends on it


@dataclass(frozen=True, eq=False)
class ScoresStage(Stage):
    """truth: the stage of the phantom, or of atoms in a file; without one, what needs none is scored. halves: of half the tilts."""

    name = "scores"

    truth: PhantomStage | MeasuredTruthStage | None
    atoms: AtomsStage
    halves: tuple[Stage, ...] = ()

    def inputs(self) -> Mapping[str, Any]:
        analysis = self._experiment().analysis
        inputs = {"match_cutoff_A": analysis.match_cutoff_A, "registration": analysis.registration}
        return {**inputs, "least_fit": self._least_fit()} if self._least_fit() is not None else inputs

    def upstream(self) -> Sequence[Stage]:
        reconstruction = self.atoms.reconstruction
        of_truth = () if self.truth is None else (self.truth,)
        recorded, *preprocessed = reconstruction.source.history
        return (recorded, reconstruction, self.atoms, *of_truth, *self.halves, *preprocessed)

    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        recorded, reconstruction, atoms, *more = sources
        specimen = truth(more.pop(0)) if self.truth is not None else None
        halves, preprocessed = more[: len(self.halves)], more[len(self.halves) :]
        series = load_series([recorded, *preprocessed][-1] / SERIES)
        result, traced = load_reconstruction(reconstruction / RECONSTRUCTION), load_atoms(atoms / TRACED)
        values, curves = half_set_scores(halves)
        if result.fit.r_factor_per_image is not None:  # of patterns: the algorithm knows its own forward model
            curves["r_factor_per_image"] = result.fit.r_factor_per_image
            values["r_factor"] = float(curves["r_factor_per_image"].mean())
        if result.fit.focus_A is not None:
            values["focus_error_A"] = float(np.abs(result.fit.focus_A - series.defocus_A).max())
        if specimen is not None and isinstance(self.truth, PhantomStage):  # what was simulated is known in all its parts
            values |= preprocessed_scores([load_preprocessed(one) for one in preprocessed], specimen, recorded)
        told, confusion = list[str](), dict[str, dict[str, int]]()
        single_view = self.atoms.reconstruction.algorithm().single_view  # its slices are too thick for atoms
        least_fit = self._least_fit()
        if specimen is not None and least_fit is not None and not single_view:
            specimen, of_frame, told = registered(specimen, particle_of(specimen), traced, least_fit)
            values |= of_frame
        if result.slices is not None and specimen is not None:
            values["n_true"] = len(particle_of(specimen))
            values |= phase_scores(result.slices, specimen, series, self.atoms.reconstruction.grid())
        elif not single_view:
            shift = np.zeros(3)
            if specimen is not None:
                scored = self._scored(specimen, traced)
                found, marked, confusion = scored.values, scored.traced, scored.confusion
                pairs = pair_curves(scored.truth, scored.traced)
                save_atoms(folder / TRUTH_SCORED, scored.truth)
                shift = np.array([found[f"shift_{axis}_A"] for axis in "xyz"]) if found["n_matched"] else shift
            else:
                found, pairs, marked = unscored(traced)
            values |= found
            curves |= pairs
            save_atoms(folder / TRACED_SCORED, marked)
            if result.volume is not None:
                of_volume, of_spectrum = volume_alone_scores(result.volume, series)
                values |= of_volume
                curves |= of_spectrum
            if result.volume is not None and specimen is not None:
                of_volume, of_shells = volume_scores(result.volume, specimen, shift)
                values |= of_volume
                curves |= of_shells
        write_text(folder / VALUES, json.dumps(json_safe({"values": values, "confusion": confusion, "remarks": told})))
        save_arrays(folder / CURVES, curves, {})

    def _scored(self, specimen: Atoms, traced: Atoms) -> Scores:
        true_atoms, analysis = particle_of(specimen), self._experiment().analysis
        found = outside(traced, true_atoms.positions, substrate_of(specimen))
        return score(true_atoms, found, cutoff_A=analysis.match_cutoff_A, registration=analysis.registration)

    def _experiment(self) -> Experiment:
        return self.atoms.reconstruction.cell.experiment

    def _least_fit(self) -> float | None:
        """The least fit of a truth whose frame is to be found; None where it is known."""
        own = self._experiment().measured
        return own.truth.least_fit if own is not None and own.truth is not None and own.truth.register_ else None


def preprocessed_scores(preprocessed: Sequence[Preprocessed], specimen: Atoms, recorded: Path) -> dict[str, float]:
    """Return the scores of the steps that preprocessed a series.

    phase_correlation: of the phases, as they are before any alignment, with the true ones of the same tilt and drift, on average.
    alignment_error_px, alignment_error_deg: of all alignments together, against the drifts and rotations that the series hides.
    """
    hidden = json.loads((recorded / IMPERFECTIONS).read_text(encoding="utf-8"))
    rotations, drifts_A = np.array(hidden["true_rotations"]), np.array(hidden["drift_A"]).mean(axis=1)
    scores: dict[str, float] = {}
    before = itertools.takewhile(lambda one: one.shifts_A is None, preprocessed)
    phases = [one.series for one in before if one.series.modality == "phase"]
    if phases:
        last = phases[-1]
        inside = scanned(load_series(recorded / SERIES), Grid((1, *last.scan_shape), last.scan_step_A))
        views = zip(last.data[:, 0], rotations, drifts_A, strict=True)
        found = [correlation(image[inside], projected_phase(specimen, r, drift, last)[inside]) for image, r, drift in views]
        scores["phase_correlation"] = float(np.mean(found))
    shifts = [one.shifts_A for one in preprocessed if one.shifts_A is not None]
    if shifts:
        last_of_all = [one.series for one in preprocessed if one.shifts_A is not None][-1]
        error = alignment_error(np.sum(shifts, axis=0), last_of_all.rotations, drifts_A, rotations)
        scores["alignment_error_px"] = error.shift_A / last_of_all.scan_step_A
        scores["alignment_error_deg"] = error.angle_deg
    return scores


def projected_phase(specimen: Atoms, rotation: np.ndarray, drift_A: np.ndarray, series: TiltSeries) -> np.ndarray:
    """Return the phase (ny, nx) in rad that a specimen adds to a wave at one tilt, on the pixels of a series of phases."""
    turned = specimen.copy()
    turned.positions = specimen.positions @ rotation.T + [*drift_A, 0.0]
    everything = np.array([-np.inf, np.inf])
    return slice_phases(turned, Grid((1, *series.scan_shape), series.scan_step_A), everything, series.optics.energy_keV)[0]


def volume_scores(volume: Volume, specimen: Atoms, shift_A: np.ndarray) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Return scores and curves of a volume against the truth: Fourier shell correlation, sites and lattice."""
    frequency, shells = fsc_against_truth(volume, specimen, shift_A)
    values = {"resolution_fsc_A": resolution_at(frequency, shells, FSC_THRESHOLD)}
    particle = particle_of(specimen)
    values |= site_scores(volume, particle, shift_A) | lattice_scores(volume, particle)
    return values, {"fsc_frequency": frequency, "fsc_correlation": shells}


def site_scores(volume: Volume, particle: Atoms, shift_A: np.ndarray) -> dict[str, float]:
    """Return how many true sites lead to an atom of their own, by element, and how far it is, in the mean.

    Sites are those of `crystal_element`, where the specimen names one, or else of all atoms.
    """
    symbols = np.array(particle.get_chemical_symbols(), dtype=str)
    chosen = symbols == particle.info.get("crystal_element", symbols)
    sites = find_sites(volume, particle.positions[chosen] + shift_A)
    elements = sorted(set(symbols[chosen].tolist()))
    scores = {f"sites_found_{el}_pct": 100 * float(sites.found[symbols[chosen] == el].mean()) for el in elements}
    moved = 100 * sites.displacement_A[sites.found]
    per_axis = np.abs(moved).mean(axis=0) if len(moved) else np.full(3, np.nan)
    scores |= {f"site_displacement_{axis}_pm": float(mean) for axis, mean in zip("xyz", per_axis, strict=True)}
    return scores | {"site_displacement_pm": float(np.linalg.norm(moved, axis=1).mean()) if len(moved) else float("nan")}


def lattice_scores(volume: Volume, particle: Atoms) -> dict[str, float]:
    """Return how a lattice found without the truth differs from that of a single crystal; nothing of other specimens.

    lattice_rotation_deg: between the orientations. lattice_strain_pct: the largest principal strain. nan where none was found.
    """
    info = particle.info
    if "crystal_rotation_rad" not in info:
        return {}
    found = find_lattice(volume, float(info["lattice_A"]), np.reshape(info["crystal_sites"], (-1, 3)))
    if found is None:
        return {"lattice_rotation_deg": float("nan"), "lattice_strain_pct": float("nan")}
    true = rotation_from_vector(np.asarray(info["crystal_rotation_rad"]))
    strain = float(np.abs(np.linalg.eigvalsh(found.strain)).max())
    return {"lattice_rotation_deg": misorientation_deg(found.orientation, true), "lattice_strain_pct": 100 * strain}


def phase_scores(slices: Slices, specimen: Atoms, series: TiltSeries, grid: Grid) -> dict[str, float]:
    """Return how the slices of one view correlate with the true phases, within the scan.

    phase_correlation: of their sum. slice_correlation: of the worst slice that holds atoms. slice_confusion: of such a slice with
    the truth of another one, at worst.
    """
    true = slice_phases(specimen, grid, slices.edges_A, series.optics.energy_keV)
    inside = scanned(series, grid)
    found, true = slices.phase[:, *inside], true[:, *inside]
    table = correlations(found, true)
    held = np.flatnonzero(true.max(axis=(1, 2)) > 0)
    own, others = table[held, held], table[np.ix_(held, held)][~np.eye(len(held), dtype=bool)]
    scores = {"phase_correlation": correlation(found.sum(axis=0), true.sum(axis=0))}
    scores |= {"slice_correlation": float(own.min())} if len(own) else {}
    return scores | ({"slice_confusion": float(others.max())} if len(others) else {})


def fsc_against_truth(volume: Volume, true_atoms: Atoms, shift_A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (frequency 1/Å, correlation) of the volume with the true atoms drawn as Gaussians weighted by Z.

    The common shift found in matching is undone first, as it is for the positions.
    """
    placed = true_atoms.copy()
    placed.positions = placed.positions + shift_A
    return fourier_shell_correlation(volume.data, render(placed, volume.grid, ATOM_SIGMA_A), volume.voxel_A)


def pair_curves(true_atoms: Atoms, found: Atoms) -> dict[str, np.ndarray]:
    """Return the pair distributions of truth and traced atoms (non-atoms left out) on common distances."""
    distance, of_truth = pair_distribution(true_atoms.positions)
    traced = found.positions[np.array(found.get_chemical_symbols(), dtype=str) != "X"] if len(found) else np.empty((0, 3))
    return {"pdf_distance_A": distance, "pdf_truth": of_truth, "pdf_traced": pair_distribution(traced)[1]}
