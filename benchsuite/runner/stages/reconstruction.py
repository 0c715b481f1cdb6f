"""reconstruction: what an algorithm makes of the recorded series alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase import Atoms

from benchsuite import microscope, registry, seeds
from benchsuite.atomic import write_text
from benchsuite.contract.algorithm import Context
from benchsuite.contract.cost import Cost
from benchsuite.contract.reconstructor import AnyReconstructor
from benchsuite.data import Grid, Modality
from benchsuite.runner.loop import CellFailure, run_loop
from benchsuite.runner.memory import peak_bytes, reset_peak
from benchsuite.runner.stages.base import Bench, Stage, once
from benchsuite.runner.stages.phantom import class_version
from benchsuite.runner.stages.preprocessing import PreprocessingStage
from benchsuite.runner.stages.series import SeriesStage
from benchsuite.scenario import Cell
from benchsuite.storage import SERIES, load_series, save_reconstruction

FOLDER = "reconstruction"
FACTS = "facts.json"


@dataclass(frozen=True)
class ReconstructionStage(Stage):
    name = "reconstruction"

    cell: Cell
    device: str = "cpu"
    recorded: SeriesStage | None = field(default=None, kw_only=True, compare=False, repr=False)  # where it is not this cell's own

    def algorithm(self) -> AnyReconstructor:
        spec = self.cell.reconstructor
        return registry.reconstructor(spec.name)(spec.params)

    def grid(self) -> Grid:
        return microscope.reconstruction_grid(self.cell.experiment.acquisition, self.cell.experiment.grid)

    def inputs(self) -> Mapping[str, Any]:
        spec, grid = self.cell.reconstructor, self.grid()
        return {
            "reconstructor": spec.name,
            "params": spec.params.model_dump(mode="json"),
            "grid": {"shape": list(grid.shape), "voxel_A": grid.voxel_A},
            "device": self.device,
            "seed": self.cell.experiment.seed,
        }

    def upstream(self) -> Sequence[Stage]:
        return (self.given(),)

    @once
    def series(self) -> SeriesStage:
        return self.recorded or SeriesStage(self.cell.experiment, self.cell.repeat, self.modality())

    @once
    def preprocessed(self) -> Sequence[PreprocessingStage]:
        """The steps of `preprocess:`, in order."""
        stages: list[PreprocessingStage] = []
        for number in range(len(self.cell.reconstructor.preprocess)):
            stages.append(PreprocessingStage(self.cell, number, stages[-1] if stages else self.series(), self.device))
        return stages

    def given(self) -> SeriesStage | PreprocessingStage:
        """What the algorithm is given: the series as recorded, or as the last step leaves it."""
        steps = self.preprocessed()
        return steps[-1] if steps else self.series()

    def start(self, sources: Sequence[Path]) -> Atoms | None:
        """The atoms that the algorithm is asked to refine."""
        return None

    def modality(self) -> Modality:
        """What is used of a 4D-STEM scan: the patterns, or else the virtual image of the same electrons."""
        recorded, spec = self.cell.experiment.recorded, self.cell.reconstructor
        wanted = registry.preprocessing(spec.preprocess[0].name).modalities if spec.preprocess else self.algorithm().takes()
        if recorded == "4dstem" and "4dstem" not in wanted and self.cell.experiment.acquisition.detector is not None:
            return "adf"
        return recorded

    def code(self) -> dict[str, str]:
        return class_version(registry.reconstructor(self.cell.reconstructor.name), type(self))

    def cost(self) -> Cost:
        return self.algorithm().cost(self.given().shape(), self.grid())

    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        series = load_series(sources[0] / SERIES)
        rng = seeds.generator(self.cell.experiment.seed, "reconstructor")
        reset_peak()
        context = Context(self.grid(), rng, self.device, start=self.start(sources))
        try:
            result = run_loop(self.algorithm(), series, context, bench.notify, bench.checkpoints)
        except CellFailure as failure:
            if failure.last is not None and bench.checkpoints is not None:
                bench.checkpoints.keep_last_good(failure.last)
            raise
        save_reconstruction(folder / FOLDER, result)
        write_text(folder / FACTS, json.dumps({"seconds": result.seconds, "peak_memory_bytes": peak_bytes()}))
        if bench.checkpoints is not None:
            bench.checkpoints.clear()
