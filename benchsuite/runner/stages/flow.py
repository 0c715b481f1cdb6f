"""All stages of a cell, put together in one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchsuite.runner.stages.atoms import AtomsStage
from benchsuite.runner.stages.base import Stage
from benchsuite.runner.stages.image import ImageStage
from benchsuite.runner.stages.metric import MetricStage
from benchsuite.runner.stages.phantom import PhantomStage
from benchsuite.runner.stages.preparation import PreparationStage
from benchsuite.runner.stages.reconstruction import ReconstructionStage
from benchsuite.runner.stages.refinement import RefinementStage
from benchsuite.runner.stages.scores import ScoresStage
from benchsuite.runner.stages.series import SeriesStage
from benchsuite.scenario import Cell
from benchsuite.scenario.measures import metrics_of


@dataclass(frozen=True)
class Flow:
    """What makes the scores of a cell; `first` is the flow whose atoms are refined, if any."""

    phantom: PhantomStage
    images: Sequence[ImageStage]
    series: SeriesStage
    prepared: Sequence[PreparationStage]
    reconstruction: ReconstructionStage
    atoms: AtomsStage
    scores: ScoresStage
    metrics: Sequence[MetricStage]
    first: Flow | None

    def stages(self) -> Iterator[Stage]:
        """Every stage, upstream first, except the scores of what is refined."""
        if self.first is not None:
            yield from (stage for stage in self.first.stages() if stage not in self.first.last())
        yield self.phantom
        yield from self.images
        yield self.series
        for step in self.prepared:
            yield from step.tilts()
            yield step
        yield from (self.reconstruction, self.atoms, *self.last())

    def last(self) -> Sequence[Stage]:
        """What a cell is there for: the scores, and the metrics that the scenario asks for."""
        return (self.scores, *self.metrics)


def flows(cells: Sequence[Cell], device: str = "cpu") -> list[Flow]:
    """Return the stages of many cells; those of equal experiments share the series, whose keys are then made once."""
    known: dict[Any, SeriesStage] = {}
    return [flow(cell, device, known) for cell in cells]


def flow(cell: Cell, device: str = "cpu", known: dict[Any, SeriesStage] | None = None) -> Flow:
    """Return the stages of a cell. `known`: series of other cells, to be shared; this one's is added."""
    first = flow(cell.first, device, known) if cell.first is not None else None
    reconstruction = RefinementStage(cell, device, first.atoms) if first is not None else ReconstructionStage(cell, device)
    series = reconstruction.series()
    if known is not None:
        series = known.setdefault((repr(series.experiment), series.repeat, series.modality), series)
        reconstruction = replace(reconstruction, recorded=series)
    images = series.upstream()
    phantom = PhantomStage(cell.experiment, cell.repeat)
    atoms = AtomsStage(reconstruction)
    scores = ScoresStage(phantom, atoms)
    metrics = [MetricStage(scores, spec) for spec in metrics_of(cell.experiment.analysis)]
    return Flow(phantom, images, series, reconstruction.prepared(), reconstruction, atoms, scores, metrics, first)
