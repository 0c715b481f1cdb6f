"""atoms: the reconstruction traced and classified, without knowledge of the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from benchsuite import seeds
from benchsuite.data import Volume, is_atom
from benchsuite.metrics.tracing.classify import classify, classify_by_intensity
from benchsuite.metrics.tracing.trace import trace_atoms
from benchsuite.runner.loop import CellFailure
from benchsuite.runner.stages.base import AtomsSource, Bench
from benchsuite.runner.stages.reconstruction import FOLDER as RECONSTRUCTION
from benchsuite.runner.stages.reconstruction import ReconstructionStage
from benchsuite.scenario import Experiment
from benchsuite.storage import load_atoms, load_reconstruction, save_atoms

FILE = "traced.extxyz"
TRACING_KEYS = ("blur_A", "minimum_distance_A", "threshold", "peak_fit", "search_residual")
CLASSIFICATION_KEYS = ("species", "smooth_A", "mask", "non_atoms")


@dataclass(frozen=True, eq=False)
class AtomsStage(AtomsSource):
    name = "atoms"

    reconstruction: ReconstructionStage

    def inputs(self) -> Mapping[str, Any]:
        analysis = self._experiment().analysis.model_dump(mode="json")
        return {key: analysis[key] for key in (*TRACING_KEYS, *CLASSIFICATION_KEYS)}

    def upstream(self) -> Sequence[ReconstructionStage]:
        return (self.reconstruction,)

    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        result = load_reconstruction(sources[0] / RECONSTRUCTION)
        save_atoms(folder / FILE, self._of_list(result.atoms) if result.atoms is not None else self._of_volume(result.volume))

    def initial_model(self, folder: Path) -> Atoms:
        atoms = load_atoms(folder / FILE)
        return atoms[is_atom(atoms)]

    def _of_list(self, atoms: Atoms) -> Atoms:
        """An answer that is a list of atoms keeps its elements; unnamed ones are named by their `intensity`."""
        if "intensity" not in atoms.arrays or (atoms.numbers > 0).any():
            return atoms
        analysis = self._experiment().analysis
        return classify_by_intensity(atoms, species=analysis.species, non_atoms=analysis.non_atoms, rng=self._rng())

    def _of_volume(self, volume: Volume | None) -> Atoms:
        if volume is None:
            raise CellFailure("error", "the reconstruction has neither volume nor atoms")
        analysis = self._experiment().analysis
        found = trace_atoms(volume, **{key: getattr(analysis, key) for key in TRACING_KEYS})
        return classify(volume, found, **{key: getattr(analysis, key) for key in CLASSIFICATION_KEYS}, rng=self._rng())

    def _rng(self) -> np.random.Generator:
        return seeds.generator(self._experiment().seed, "classification")

    def _experiment(self) -> Experiment:
        return self.reconstruction.cell.experiment
