"""scores: what metrics measure of a cell: those that every run has together, and each that a scenario asks for by itself."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite import registry
from benchsuite.atomic import write_text
from benchsuite.contract.metric import AnyMetric, Motion, Scored, Scores
from benchsuite.runner.loop import CellFailure
from benchsuite.runner.stages.base import Bench, Stage
from benchsuite.runner.stages.match import ABOUT, MatchStage, load_matched, load_placement
from benchsuite.runner.stages.phantom import PhantomStage, class_version, truth
from benchsuite.runner.stages.reconstruction import FOLDER as RECONSTRUCTION
from benchsuite.runner.stages.series import IMPERFECTIONS
from benchsuite.scenario.metrics import MetricSpec
from benchsuite.storage import SERIES, json_safe, load_preprocessed, load_reconstruction, load_series, save_arrays
from benchsuite.store import Store

VALUES = "values.json"
CURVES = "curves.zarr"


@dataclass(frozen=True, eq=False)
class ScoresStage(Stage):
    """metrics: with their parameters, in one entry. halves: reconstructions of half the tilts."""

    name = "scores"

    match: MatchStage
    metrics: tuple[MetricSpec, ...]
    halves: tuple[Stage, ...] = ()

    def inputs(self) -> Mapping[str, Any]:
        return {"metrics": {spec.name: spec.params.model_dump(mode="json") for spec in self.metrics}}

    def upstream(self) -> Sequence[Stage]:
        reconstruction = self.match.atoms.reconstruction
        of_truth = () if self.match.truth is None else (self.match.truth,)
        recorded, *preprocessed = reconstruction.source.history
        return (self.match, reconstruction, recorded, *of_truth, *self.halves, *preprocessed)

    def code(self) -> dict[str, str]:
        return class_version(type(self), *(registry.metric(spec.name) for spec in self.metrics))

    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        scored = self._scored(sources)
        values, curves = dict[str, float](), dict[str, np.ndarray]()
        for spec in self.metrics:
            found = _measured(registry.metric(spec.name)(spec.params), spec.name, scored)
            values |= found.values
            curves |= found.curves
        write_text(folder / VALUES, json.dumps(json_safe(values)))
        save_arrays(folder / CURVES, curves, {})

    def _scored(self, sources: Sequence[Path]) -> Scored:
        matched, reconstruction, recorded, *more = sources
        specimen = truth(more.pop(0)) if self.match.truth is not None else None
        placement = load_placement(matched)
        if specimen is not None and self.match.places_truth:
            specimen = None if placement is None else placement.applied(specimen)
        halves, steps = more[: len(self.halves)], more[len(self.halves) :]
        preprocessed = tuple(map(load_preprocessed, steps))
        series = load_series(recorded / SERIES)
        return Scored(
            **vars(load_matched(matched)),
            reconstruction=load_reconstruction(reconstruction / RECONSTRUCTION),
            grid=self.match.atoms.reconstruction.grid(),
            series=preprocessed[-1].series if preprocessed else series,
            recorded=series,
            specimen=specimen,
            preprocessed=preprocessed,
            motion=_motion(recorded) if isinstance(self.match.truth, PhantomStage) else None,
            placement=placement,
            halves=tuple(load_reconstruction(half / RECONSTRUCTION) for half in halves),
        )


def _motion(recorded: Path) -> Motion:
    hidden = json.loads((recorded / IMPERFECTIONS).read_text(encoding="utf-8"))
    return Motion(np.array(hidden["true_rotations"]), np.array(hidden["drift_A"]))


def _measured(metric: AnyMetric, name: str, scored: Scored) -> Scores:
    """Raises CellFailure, with the name of the metric, where it raises or answers with anything but what it declares."""
    try:
        answer = metric.measure(scored)
    except Exception as error:  # whatever a metric raises becomes the cell's reason, its traceback the cell's log
        traceback.print_exc()
        raise CellFailure("error", f"metric {name}: {type(error).__name__}: {error}") from error
    try:
        return metric.checked(answer)
    except ValueError as error:
        raise CellFailure("error", f"metric {name}: {error}") from error


def stored_scores(stages: Sequence[ScoresStage], store: Store) -> dict[str, float] | None:
    """Return the values of all metrics of a cell; None where some are gone, or damaged."""
    texts = [store.read(stage.key, VALUES) for stage in stages]
    return (
        None if None in texts else {name: value for text in texts if text is not None for name, value in json.loads(text).items()}
    )


def match_remarks(stage: MatchStage, store: Store) -> list[str]:
    """Return what a user has to know of the matching."""
    text = store.read(stage.key, ABOUT)
    return [] if text is None else json.loads(text)["remarks"]
