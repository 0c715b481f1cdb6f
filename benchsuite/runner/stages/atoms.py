"""atoms: the reconstruction traced and classified, without knowledge of the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms

from benchsuite import seeds
from benchsuite.data import is_atom
from benchsuite.metrics.tracing.traced import CLASSIFICATION_KEYS, TRACING_KEYS, traced_atoms
from benchsuite.runner.stages.base import AtomsSource, Bench
from benchsuite.runner.stages.reconstruction import FOLDER as RECONSTRUCTION
from benchsuite.runner.stages.reconstruction import ReconstructionStage
from benchsuite.scenario import Experiment
from benchsuite.storage import load_atoms, load_reconstruction, save_atoms

FILE = "traced.extxyz"


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
        experiment, result = self._experiment(), load_reconstruction(sources[0] / RECONSTRUCTION)
        rng = seeds.generator(experiment.seed, "classification")
        save_atoms(folder / FILE, traced_atoms(result, experiment.analysis.model_dump(), rng))

    def initial_model(self, folder: Path) -> Atoms:
        atoms = load_atoms(folder / FILE)
        return atoms[is_atom(atoms)]

    def _experiment(self) -> Experiment:
        return self.reconstruction.cell.experiment
