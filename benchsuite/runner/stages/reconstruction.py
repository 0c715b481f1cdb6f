"""reconstruction: what an algorithm makes of a series alone, or of a series and the traced atoms of another reconstruction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchsuite import microscope, registry, seeds
from benchsuite.atomic import write_text
from benchsuite.contract.algorithm import Context
from benchsuite.contract.plug import Cost
from benchsuite.contract.reconstructor import AnyReconstructor
from benchsuite.data import Grid
from benchsuite.runner.loop import CellFailure, run_loop
from benchsuite.runner.memory import peak_bytes, reset_peak
from benchsuite.runner.stages.base import AtomsSource, Bench, SeriesSource, Stage
from benchsuite.runner.stages.phantom import class_version
from benchsuite.scenario import Cell
from benchsuite.storage import SERIES, load_series, save_reconstruction

FOLDER = "reconstruction"
FACTS = "facts.json"


@dataclass(frozen=True, eq=False)
class ReconstructionStage(Stage):
    name = "reconstruction"

    cell: Cell
    source: SeriesSource
    device: str
    initial: AtomsSource | None = None

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
        return (self.source,) if self.initial is None else (self.source, self.initial)

    def code(self) -> dict[str, str]:
        return class_version(type(self), registry.reconstructor(self.cell.reconstructor.name))

    def cost(self) -> Cost:
        return self.algorithm().cost(self.source.shape(), self.grid())

    def context(self, sources: Sequence[Path]) -> Context:
        """Return what the algorithm is given beside the series."""
        rng = seeds.generator(self.cell.experiment.seed, "reconstructor")
        start = self.initial.initial_model(sources[1]) if self.initial is not None else None
        return Context(self.grid(), rng, self.device, start=start)

    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        series = load_series(sources[0] / SERIES)
        reset_peak()
        try:
            result = run_loop(self.algorithm(), series, self.context(sources), bench.notify, bench.checkpoints)
        except CellFailure as failure:
            if failure.last is not None and bench.checkpoints is not None:
                bench.checkpoints.keep_last_good(failure.last)
            failure.reason = self.source.part + failure.reason
            raise
        save_reconstruction(folder / FOLDER, result)
        write_text(folder / FACTS, json.dumps({"seconds": result.seconds, "peak_memory_bytes": peak_bytes()}))
        if bench.checkpoints is not None:
            bench.checkpoints.clear()
