"""metric: the values of one registered metric, an entry of its own, so that a changed metric repeats nothing else."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from benchsuite import registry
from benchsuite.atomic import write_text
from benchsuite.contract.metric import AnyMetric, Scored, metric_misfit
from benchsuite.data import Reconstruction, TiltSeries
from benchsuite.metrics.matching.match import match
from benchsuite.metrics.tracing.classify import NON_ATOM
from benchsuite.runner.loop import CellFailure
from benchsuite.runner.stages.atoms import FILE as TRACED
from benchsuite.runner.stages.base import Bench, Stage
from benchsuite.runner.stages.phantom import class_version
from benchsuite.runner.stages.reconstruction import FOLDER as RECONSTRUCTION
from benchsuite.runner.stages.scores import TRACED_SCORED, TRUTH_SCORED, ScoresStage
from benchsuite.scenario.measures import MetricSpec
from benchsuite.storage import SERIES, load_atoms, load_reconstruction, load_series

VALUES = "values.json"


@dataclass(frozen=True, eq=False)
class MetricStage(Stage):
    """One metric of a cell. Upstream: the scores, whose matching it shares, the traced atoms, the answer, the series as given, and
    as recorded where steps lie between.
    """

    name = "metric"

    scores: ScoresStage
    spec: MetricSpec

    def metric(self) -> AnyMetric:
        return registry.metric(self.spec.name)(self.spec.params)

    def inputs(self) -> Mapping[str, Any]:
        return {"metric": self.spec.name, "params": self.spec.params.model_dump(mode="json")}

    def upstream(self) -> Sequence[Stage]:
        atoms = self.scores.atoms
        reconstruction = atoms.reconstruction
        recorded, *preprocessed = reconstruction.source.history
        return (self.scores, atoms, reconstruction, reconstruction.source, *((recorded,) if preprocessed else ()))

    def code(self) -> dict[str, str]:
        return class_version(registry.metric(self.spec.name), type(self))

    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        scores, atoms, reconstruction, given, *before = sources
        result, series = load_reconstruction(reconstruction / RECONSTRUCTION), load_series(given / SERIES)
        analysis = self.scores.atoms.reconstruction.cell.experiment.analysis
        rules = {"cutoff_A": analysis.match_cutoff_A, "registration": analysis.registration}
        if (scores / TRUTH_SCORED).is_file():
            seen = scored(load_atoms(scores / TRUTH_SCORED), load_atoms(scores / TRACED_SCORED), result, series, rules)
        else:
            single_view = self.scores.atoms.reconstruction.algorithm().single_view  # its slices are too thick for atoms
            traced = None if single_view else load_atoms(atoms / TRACED)
            seen = Scored(None, traced, np.empty((0, 2), dtype=int), result, series)
        recorded = load_series(before[0] / SERIES) if before else series
        write_text(folder / VALUES, json.dumps(self._measured(replace(seen, recorded=recorded))))

    def _measured(self, seen: Scored) -> dict[str, float]:
        """Raises CellFailure, with the name of the metric, where it raises or answers with anything but numbers by name."""
        try:
            values = self.metric().measure(seen)
        except Exception as error:  # whatever a plugin raises becomes the cell's reason, its traceback the cell's log
            traceback.print_exc()
            raise CellFailure("error", f"metric {self.spec.name}: {type(error).__name__}: {error}") from error
        wrong = metric_misfit(values)
        if wrong is not None:
            raise CellFailure("error", f"metric {self.spec.name}: {wrong}")
        return {name: float(value) for name, value in values.items()}


def scored(truth: Atoms, traced: Atoms, result: Reconstruction, series: TiltSeries, rules: Mapping[str, Any]) -> Scored:
    """Return what a metric may see, with traced atoms matched by the same rules, and so in the same way, as for the scores."""
    atoms = np.flatnonzero(np.array(traced.get_chemical_symbols(), dtype="U2") != NON_ATOM)
    found = match(truth.positions, traced.positions[atoms], **rules)
    aligned = traced.copy()
    aligned.positions = found.aligned(traced.positions)
    pairs = np.column_stack([found.truth_index, atoms[found.traced_index]])
    return Scored(truth, aligned, pairs, result, series, found.rotation, found.shift_A)
