"""match: the traced atoms beside the true ones, once for all metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from benchsuite.atomic import write_text
from benchsuite.contract.metric import Matched, Placement
from benchsuite.data import particle_of, substrate_of
from benchsuite.metrics.matching.matched import as_found, confusion_matrix, in_frame, match_atoms, unmatched
from benchsuite.metrics.matching.registration import placed
from benchsuite.metrics.structure import outside
from benchsuite.runner.stages.atoms import FILE as TRACED
from benchsuite.runner.stages.atoms import AtomsStage
from benchsuite.runner.stages.base import Bench, Stage
from benchsuite.runner.stages.measured_truth import MeasuredTruthStage
from benchsuite.runner.stages.phantom import PhantomStage, truth
from benchsuite.scenario import Experiment
from benchsuite.storage import json_safe, load_arrays, load_atoms, save_arrays, save_atoms

ABOUT = "match.json"
ARRAYS = "match.zarr"
TRUTH_SCORED = "truth_scored.extxyz"
TRACED_SCORED = "traced_scored.extxyz"


@dataclass(frozen=True, eq=False)
class MatchStage(Stage):
    """truth: the stage of the phantom, or of atoms in a file; None where there is no truth. Nothing is matched of single views."""

    name = "match"

    truth: PhantomStage | MeasuredTruthStage | None
    atoms: AtomsStage

    def inputs(self) -> Mapping[str, Any]:
        analysis, least_fit = self._experiment().analysis, self._least_fit()
        inputs = {
            "match_cutoff_A": analysis.match_cutoff_A,
            "registration": analysis.registration,
            "single_view": self.atoms.reconstruction.algorithm().single_view,
        }
        return inputs if least_fit is None else {**inputs, "least_fit": least_fit}

    def upstream(self) -> Sequence[Stage]:
        return (self.atoms,) if self.truth is None else (self.atoms, self.truth)

    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        placement, remarks, found = None, list[str](), None
        if not self.atoms.reconstruction.algorithm().single_view:
            traced = load_atoms(sources[0] / TRACED)
            specimen = truth(sources[1]) if self.truth is not None else None
            least_fit = self._least_fit()
            if specimen is not None and least_fit is not None:
                specimen, placement, remarks = placed(specimen, traced, least_fit)
            found = unmatched(traced) if specimen is None else self._matched(specimen, traced)
            save_matched(folder, found)
        about = {
            "confusion": {} if found is None else confusion_matrix(found),
            "remarks": remarks,
            "placement": None if placement is None else vars(placement),
        }
        write_text(folder / ABOUT, json.dumps(json_safe(about)))

    def _matched(self, specimen: Atoms, traced: Atoms) -> Matched:
        particle, analysis = particle_of(specimen), self._experiment().analysis
        found = outside(traced, particle.positions, substrate_of(specimen))
        return match_atoms(particle, found, cutoff_A=analysis.match_cutoff_A, registration=analysis.registration)

    def _experiment(self) -> Experiment:
        return self.atoms.reconstruction.cell.experiment

    @property
    def places_truth(self) -> bool:
        """Whether the frame of the truth is to be found."""
        return self._least_fit() is not None

    def _least_fit(self) -> float | None:
        """The least fit of a truth whose frame is to be found; None where it is known."""
        measured = self._experiment().measured
        of_file = measured.truth if measured is not None else None
        return of_file.least_fit if of_file is not None and of_file.register_ else None


def save_matched(folder: Path, matched: Matched) -> None:
    """Write matched atoms, traced ones where they were found."""
    arrays = {name: np.asarray(getattr(matched, name)) for name in ("pairs", "cutoff_A", "rotation", "shift_A")}
    save_arrays(folder / ARRAYS, arrays, {})
    save_atoms(folder / TRACED_SCORED, as_found(matched))
    if matched.truth is not None:
        save_atoms(folder / TRUTH_SCORED, matched.truth)


def load_matched(folder: Path) -> Matched:
    """Return what was matched; no atoms of single views."""
    if not (folder / TRACED_SCORED).is_file():
        return Matched(truth=None, traced=None)
    traced, arrays = load_atoms(folder / TRACED_SCORED), load_arrays(folder / ARRAYS)[0]
    if not (folder / TRUTH_SCORED).is_file():
        return Matched(truth=None, traced=traced, positions_found=traced.positions.copy())
    motion = {name: arrays[name] for name in ("pairs", "rotation", "shift_A")}
    return in_frame(load_atoms(folder / TRUTH_SCORED), traced, cutoff_A=float(arrays["cutoff_A"]), **motion)


def load_placement(folder: Path) -> Placement | None:
    """Return how a truth of unknown frame was placed."""
    found = json.loads((folder / ABOUT).read_text(encoding="utf-8"))["placement"]
    if found is None:
        return None
    arrays = {name: None if found[name] is None else np.array(found[name]) for name in ("rotation", "shift_A")}
    return Placement(found["fit"], found["mirrored_fit"], **arrays)
