"""The stages of cells, put together in one place: each stage is given its upstream stages when it is made.

specimen → image (one per tilt) → series → preprocessing → reconstruction → atoms → match → scores
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, TypeVar

from benchsuite import microscope, registry
from benchsuite.data import Modality
from benchsuite.runner.stages.atoms import AtomsStage
from benchsuite.runner.stages.base import SeriesSource, Stage
from benchsuite.runner.stages.half_series import MIN_TILTS, HalfSeriesStage
from benchsuite.runner.stages.image import ImageStage
from benchsuite.runner.stages.match import MatchStage
from benchsuite.runner.stages.measured_series import MeasuredSeriesStage
from benchsuite.runner.stages.measured_truth import MeasuredTruthStage
from benchsuite.runner.stages.phantom import PhantomStage
from benchsuite.runner.stages.preprocessing import PreprocessedTiltStage, PreprocessingStage
from benchsuite.runner.stages.reconstruction import ReconstructionStage
from benchsuite.runner.stages.scores import ScoresStage
from benchsuite.runner.stages.series import SeriesStage
from benchsuite.scenario import Cell, Experiment
from benchsuite.scenario.metrics import default_metrics, metrics_asked_for

S = TypeVar("S", bound=Stage)


@dataclass(frozen=True)
class CellGraph:
    """The stages of a cell. `initial`: the graph whose atoms the reconstruction starts from, if any."""

    cell: Cell
    reconstruction: ReconstructionStage
    atoms: AtomsStage
    scores: ScoresStage
    metrics: tuple[ScoresStage, ...]
    initial: CellGraph | None

    @property
    def goals(self) -> tuple[ScoresStage, ...]:
        """What a cell is run for: the scores, and the metrics that the scenario asks for."""
        return (self.scores, *self.metrics)

    @property
    def series(self) -> SeriesSource:
        """The series as recorded."""
        return self.reconstruction.source.recorded

    @property
    def preprocessing(self) -> tuple[PreprocessingStage, ...]:
        """The preprocessing steps, in order."""
        return tuple(step for step in self.reconstruction.source.history if isinstance(step, PreprocessingStage))

    def stages(self) -> list[Stage]:
        """Return every stage, upstream first."""
        return topological(self.goals)


def topological(goals: Iterable[Stage], stored: Callable[[Stage], bool] = lambda stage: False) -> list[Stage]:
    """Return the stages that the goals need, upstream first; one that is stored needs nothing, and is left out."""
    upstream: dict[Stage, list[Stage]] = {}
    remaining = [goal for goal in goals if not stored(goal)]
    while remaining:
        stage = remaining.pop()
        if stage not in upstream:
            upstream[stage] = [source for source in stage.upstream() if not stored(source)]
            remaining += upstream[stage]
    return list(TopologicalSorter(upstream).static_order())


def graph_of(cell: Cell, device: str = "cpu") -> CellGraph:
    """Return the stages of a cell."""
    return graphs_of([cell], device)[0]


def graphs_of(cells: Iterable[Cell], device: str = "cpu") -> list[CellGraph]:
    """Return the stages of many cells; those of equal experiments share specimen, images and series."""
    builder = _Builder(device)
    return [builder.graph(cell) for cell in cells]


class _Builder:
    def __init__(self, device: str) -> None:
        self.device = device
        self.shared: dict[tuple[str, int, str], Any] = {}

    def graph(self, cell: Cell) -> CellGraph:
        initial = self.graph(cell.initial) if cell.initial is not None else None
        truth, series = self._truth(cell), self._series(cell)
        source = self._preprocessed(cell, series)
        reconstruction = ReconstructionStage(cell, source, self.device, initial.atoms if initial is not None else None)
        atoms = AtomsStage(reconstruction)
        match, halves, analysis = MatchStage(truth, atoms), self._halves(reconstruction), cell.experiment.analysis
        scores = ScoresStage(match, default_metrics(analysis), halves)
        metrics = tuple(ScoresStage(match, (spec,), halves) for spec in metrics_asked_for(analysis))
        return CellGraph(cell, reconstruction, atoms, scores, metrics, initial)

    def _truth(self, cell: Cell) -> PhantomStage | MeasuredTruthStage | None:
        measured = cell.experiment.measured
        if measured is None:
            return self._specimen(cell)
        return MeasuredTruthStage(cell.experiment) if measured.truth is not None else None

    def _specimen(self, cell: Cell) -> PhantomStage:
        return self._once(cell, "phantom", lambda: PhantomStage(cell.experiment, cell.repeat))

    def _series(self, cell: Cell) -> SeriesStage | MeasuredSeriesStage:
        experiment, modality = cell.experiment, used_modality(cell)

        def recorded() -> SeriesStage | MeasuredSeriesStage:
            if experiment.measured is not None:
                return MeasuredSeriesStage(experiment, modality)
            tilts = range(len(microscope.rotations(experiment.acquisition.tilts)))
            images = [ImageStage(experiment, cell.repeat, tilt, self._specimen(cell)) for tilt in tilts]
            return SeriesStage(experiment, cell.repeat, modality, images)

        return self._once(cell, modality, recorded)

    def _once(self, cell: Cell, name: str, make: Callable[[], S]) -> S:
        """Return the stage of that name that equal experiments share: its key is computed once."""
        identity = (_identity(cell.experiment), cell.repeat, name)
        if identity not in self.shared:
            self.shared[identity] = make()
        return self.shared[identity]

    def _preprocessed(self, cell: Cell, series: SeriesSource) -> SeriesSource:
        source = series
        for number, step in enumerate(cell.reconstructor.preprocess):
            tilts: Sequence[PreprocessedTiltStage] = ()
            if registry.preprocessing(step.name).by_tilt:
                tilts = [PreprocessedTiltStage(cell, number, source, self.device, tilt) for tilt in range(source.shape()[0])]
            source = PreprocessingStage(cell, number, source, self.device, tilts)
        return source

    def _halves(self, whole: ReconstructionStage) -> tuple[ReconstructionStage, ...]:
        """Return the reconstructions of half of the tilts each, or none where they are not asked for, or where there are none.

        There are none of a single view, of fewer than four tilts, of a method that answers with atoms instead of a volume, and of
        a refinement, whose halves would start from the same atoms.
        """
        measured, wanted = whole.cell.experiment.measured, whole.cell.experiment.analysis.half_sets
        if wanted is None:
            wanted = measured is not None and measured.truth is None
        algorithm = whole.algorithm()
        if not wanted or algorithm.single_view or algorithm.refines or whole.initial is not None:
            return ()
        if whole.source.shape()[0] < MIN_TILTS:
            return ()
        return tuple(ReconstructionStage(whole.cell, HalfSeriesStage(whole.source, half), self.device) for half in range(2))


def used_modality(cell: Cell) -> Modality:
    """What is used of a 4D-STEM scan: the patterns, or else the virtual image of the same electrons."""
    recorded, spec = cell.experiment.recorded, cell.reconstructor
    if spec.preprocess:
        wanted = registry.preprocessing(spec.preprocess[0].name).modalities
    else:
        wanted = registry.reconstructor(spec.name)(spec.params).takes()
    if recorded == "4dstem" and "4dstem" not in wanted and cell.experiment.acquisition.detector is not None:
        return "adf"
    return recorded


def _identity(experiment: Experiment) -> str:
    return experiment.model_dump_json(exclude={"measured": {"hashes"}})
