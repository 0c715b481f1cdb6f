"""All stages of a cell, put together in one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchsuite.runner.stages.atoms import AtomsStage
from benchsuite.runner.stages.base import Stage
from benchsuite.runner.stages.half_sets import HalfReconstructionStage, half_reconstructions
from benchsuite.runner.stages.image import ImageStage
from benchsuite.runner.stages.measured_series import MeasuredSeriesStage
from benchsuite.runner.stages.measured_truth import MeasuredTruthStage
from benchsuite.runner.stages.metric import MetricStage
from benchsuite.runner.stages.phantom import PhantomStage
from benchsuite.runner.stages.preprocessing import PreprocessingStage
from benchsuite.runner.stages.reconstruction import ReconstructionStage
from benchsuite.runner.stages.refinement import RefinementStage
from benchsuite.runner.stages.scores import ScoresStage
from benchsuite.runner.stages.series import SeriesStage
from benchsuite.scenario import Cell
from benchsuite.scenario.measures import metrics_of


@dataclass(frozen=True)
class Flow:
    """What makes the scores of a cell; `first` is the flow whose atoms are refined, if any.

    phantom: the stage of the truth; of one's own series, atoms in a file, or None. halves: of half the tilts each, if any.
    """

    phantom: PhantomStage | MeasuredTruthStage | None
    images: Sequence[ImageStage]
    series: SeriesStage
    preprocessed: Sequence[PreprocessingStage]
    reconstruction: ReconstructionStage
    halves: Sequence[HalfReconstructionStage]
    atoms: AtomsStage
    scores: ScoresStage
    metrics: Sequence[MetricStage]
    first: Flow | None

    def stages(self) -> Iterator[Stage]:
        """Every stage, upstream first, except half sets, scores and metrics of what is refined."""
        yield from self._answered()
        for half in self.halves:
            yield from (half.halved(), half)
        yield from self.last()

    def _answered(self) -> Iterator[Stage]:
        if self.first is not None:
            yield from self.first._answered()
        if self.phantom is not None:
            yield self.phantom
        yield from self.images
        yield self.series
        for step in self.preprocessed:
            yield from step.tilts()
            yield step
        yield from (self.reconstruction, self.atoms)

    def last(self) -> Sequence[Stage]:
        """What a cell is there for: the scores, and the metrics that the scenario asks for."""
        return (self.scores, *self.metrics)


def flows(cells: Sequence[Cell], device: str = "cpu") -> list[Flow]:
    """Return the stages of many cells; those of equal experiments share the series, whose keys are then made once."""
    known: dict[Any, SeriesStage] = {}
    return [flow(cell, device, known) for cell in cells]


def flow(cell: Cell, device: str = "cpu", known: dict[Any, SeriesStage] | None = None) -> Flow:
    """Return the stages of a cell. `known`: series of other cells, to be shared; this one's is added."""
    first = flow(cell.initial, device, known) if cell.initial is not None else None
    reconstruction = RefinementStage(cell, device, first.atoms) if first is not None else ReconstructionStage(cell, device)
    series = _series(reconstruction)
    if known is not None:
        series = known.setdefault((repr(series.experiment), series.repeat, series.modality), series)
    reconstruction = replace(reconstruction, recorded=series)
    truth = _truth(cell)
    atoms = AtomsStage(reconstruction)
    halves = half_reconstructions(reconstruction)
    scores = ScoresStage(truth, atoms, halves)
    metrics = [MetricStage(scores, spec) for spec in metrics_of(cell.experiment.analysis)]
    return Flow(
        truth, series.upstream(), series, reconstruction.preprocessed(), reconstruction, halves, atoms, scores, metrics, first
    )


def _series(reconstruction: ReconstructionStage) -> SeriesStage:
    cell = reconstruction.cell
    if cell.experiment.measured is not None:
        return MeasuredSeriesStage(cell.experiment, cell.repeat, reconstruction.modality())
    return reconstruction.series()


def _truth(cell: Cell) -> PhantomStage | MeasuredTruthStage | None:
    measured = cell.experiment.measured
    if measured is None:
        return PhantomStage(cell.experiment, cell.repeat)
    return MeasuredTruthStage(cell.experiment) if measured.truth is not None else None
