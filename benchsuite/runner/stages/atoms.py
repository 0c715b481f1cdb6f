"""atoms: the reconstruction traced and classified, without knowledge of the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchsuite import seeds
from benchsuite.runner.loop import CellFailure
from benchsuite.runner.stages.base import Bench, Stage
from benchsuite.runner.stages.reconstruction import FOLDER as RECONSTRUCTION
from benchsuite.runner.stages.reconstruction import ReconstructionStage
from benchsuite.scenario import Cell
from benchsuite.storage import load_reconstruction, save_atoms
from metrics.classify import classify
from metrics.trace import trace_atoms

FILE = "traced.extxyz"
TRACING_KEYS = ("blur_A", "minimum_distance_A", "threshold", "peak_fit", "search_residual")
CLASSIFICATION_KEYS = ("species", "smooth_A", "mask", "non_atoms")


@dataclass(frozen=True)
class AtomsStage(Stage):
    name = "atoms"

    cell: Cell
    device: str = "cpu"

    def inputs(self) -> Mapping[str, Any]:
        analysis = self.cell.experiment.analysis.model_dump(mode="json")
        return {key: analysis[key] for key in (*TRACING_KEYS, *CLASSIFICATION_KEYS)}

    def upstream(self) -> Sequence[ReconstructionStage]:
        return (ReconstructionStage(self.cell, self.device),)

    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        result = load_reconstruction(sources[0] / RECONSTRUCTION)
        analysis = self.cell.experiment.analysis
        atoms = result.atoms
        if atoms is None:
            if result.volume is None:
                raise CellFailure("error", "the reconstruction has neither volume nor atoms")
            found = trace_atoms(result.volume, **{key: getattr(analysis, key) for key in TRACING_KEYS})
            rng = seeds.generator(self.cell.experiment.seed, "classification")
            atoms = classify(result.volume, found, **{k: getattr(analysis, k) for k in CLASSIFICATION_KEYS}, rng=rng)
        save_atoms(folder / FILE, atoms)
