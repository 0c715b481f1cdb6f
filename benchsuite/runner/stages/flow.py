"""All stages of a cell, put together in one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchsuite.runner.stages.atoms import AtomsStage
from benchsuite.runner.stages.base import Stage
from benchsuite.runner.stages.half_sets import HalfReconstructionStage, half_reconstructions
from benchsuite.runner.stages.image import ImageStage
from benchsuite.runner.stages.metric import MetricStage
from benchsuite.runner.stages.own_series import OwnSeriesStage
from benchsuite.runner.stages.own_truth import OwnTruthStage
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
    """What makes the scores of a cell; `first` is the flow whose atoms are refined, if any.

    phantom: the stage of the truth; of one's own series, atoms in a file, or None. halves: of half the tilts each, if any.
    """

    phantom: PhantomStage | OwnTruthStage | None
    images: Sequence[ImageStage]
    series: SeriesStage
    prepared: Sequence[PreparationStage]
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
        for step in self.prepared:
            yield from step.tilts()
            yield step
        yield from (self.reconstruction, self.atoms)

    def last(self) -> Sequence[Stage]:
        """What a cell is there for: the scores, and the metrics that the scenario asks for."""
        return (self.scores, *self.metrics)


def flow(cell: Cell, device: str = "cpu") -> Flow:
    """Return the stages of a cell."""
    first = flow(cell.first, device) if cell.first is not None else None
    reconstruction = ReconstructionStage(cell, device)
    if cell.experiment.own is not None:
        recorded = OwnSeriesStage(cell.experiment, cell.repeat, reconstruction.modality())
        reconstruction = ReconstructionStage(cell, device, recorded)
    if first is not None:
        reconstruction = RefinementStage(cell, device, reconstruction.recorded, first.atoms)
    series = reconstruction.series()
    truth = _truth(cell)
    atoms = AtomsStage(reconstruction)
    halves = half_reconstructions(reconstruction)
    scores = ScoresStage(truth, atoms, halves)
    metrics = [MetricStage(scores, spec) for spec in metrics_of(cell.experiment.analysis)]
    return Flow(truth, series.upstream(), series, reconstruction.prepared(), reconstruction, halves, atoms, scores, metrics, first)


def _truth(cell: Cell) -> PhantomStage | OwnTruthStage | None:
    own = cell.experiment.own
    if own is None:
        return PhantomStage(cell.experiment, cell.repeat)
    return OwnTruthStage(cell.experiment) if own.truth is not None else None
