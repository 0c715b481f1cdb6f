"""preprocessing: what a step of `preprocess:` makes of a series; of a step that works tilt by tilt, every tilt is an entry."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite import microscope, registry, seeds
from benchsuite.atomic import write_text
from benchsuite.contract.algorithm import Context
from benchsuite.contract.plug import Cost
from benchsuite.contract.preprocessing import AnyPreprocessing
from benchsuite.data import Grid, Modality, Preprocessed, TiltSeries
from benchsuite.runner.loop import CellFailure
from benchsuite.runner.memory import peak_bytes, reset_peak
from benchsuite.runner.stages.base import Bench, SeriesSource, Stage
from benchsuite.runner.stages.phantom import class_version
from benchsuite.scenario import Cell
from benchsuite.storage import SERIES, load_preprocessed, load_series, save_preprocessed

FACTS = "facts.json"


@dataclass(frozen=True, eq=False)
class _Step(SeriesSource):
    """The step at place `number` of a cell's reconstructor."""

    cell: Cell
    number: int
    source: SeriesSource
    device: str

    def algorithm(self) -> AnyPreprocessing:
        spec = self.cell.reconstructor.preprocess[self.number]
        return registry.preprocessing(spec.name)(spec.params)

    def grid(self) -> Grid:
        return microscope.reconstruction_grid(self.cell.experiment.acquisition, self.cell.experiment.grid)

    @property
    def modality(self) -> Modality:
        return self.algorithm().makes or self.source.modality

    def inputs(self) -> Mapping[str, Any]:
        spec, grid = self.cell.reconstructor.preprocess[self.number], self.grid()
        return {
            "step": spec.name,
            "params": spec.params.model_dump(mode="json"),
            "grid": {"shape": list(grid.shape), "voxel_A": grid.voxel_A},
            "device": self._device(),
            "seed": self.cell.experiment.seed,
        }

    @property
    def libraries(self) -> tuple[str, ...]:
        return self.algorithm().libraries

    def _device(self) -> str:
        """Where it runs: on the device asked for, if it can."""
        return self.device if self.device in self.algorithm().devices else "cpu"

    def shape(self) -> tuple[int, ...]:
        return self.algorithm().preprocessed_shape(self.source.shape(), self.grid())

    def code(self) -> dict[str, str]:
        return class_version(type(self), type(self.algorithm()))

    def preprocess(self, folder: Path, series: TiltSeries, tilt: int | None = None) -> None:
        """Run the step and store what it makes. Raises CellFailure where it refuses the series, or answers with nan."""
        algorithm, started = self.algorithm(), time.perf_counter()
        refusal = algorithm.accepts(series)
        if refusal is not None:
            raise CellFailure("skipped", refusal)
        reset_peak()
        context = Context(self.grid(), seeds.generator(self.cell.experiment.seed, "preparation", tilt or 0), self._device())
        preprocessed = algorithm.preprocess(series, context)
        _check(preprocessed, type(algorithm).__name__, self.modality, (len(series.data), *self.shape()[1:]), algorithm.by_tilt)
        facts = {"seconds": time.perf_counter() - started, "peak_memory_bytes": peak_bytes()}
        _save(folder, preprocessed, facts)


@dataclass(frozen=True, eq=False)
class PreprocessedTiltStage(_Step):
    """One tilt of a step that works tilt by tilt."""

    name = "preprocessed_tilt"
    per_tilt = True

    tilt: int

    def inputs(self) -> Mapping[str, Any]:
        return {**super().inputs(), "tilt": self.tilt}

    def upstream(self) -> Sequence[Stage]:
        return (self.source,)

    def cost(self) -> Cost:
        return self.algorithm().cost((1, *self.source.shape()[1:]), self.grid())

    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        self.preprocess(folder, load_series(sources[0] / SERIES).view(self.tilt), self.tilt)


@dataclass(frozen=True, eq=False)
class PreprocessingStage(_Step):
    """A whole step. Upstream: the series, or the entries of its tilts, where it works tilt by tilt."""

    name = "preprocessing"
    shared = True

    tilts: Sequence[PreprocessedTiltStage]

    @property
    def history(self) -> tuple[SeriesSource, ...]:
        return (*self.source.history, self)

    def upstream(self) -> Sequence[Stage]:
        return self.tilts or (self.source,)

    def cost(self) -> Cost:
        return Cost(0.5, 1e8) if self.tilts else self.algorithm().cost(self.source.shape(), self.grid())

    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        if self.tilts:
            joined = _together([load_preprocessed(source) for source in sources])
            _save(folder, joined, _added([_facts(source) for source in sources]))
        else:
            self.preprocess(folder, load_series(sources[0] / SERIES))


def _check(preprocessed: object, name: str, modality: Modality, shape: tuple[int, ...], by_tilt: bool) -> None:
    """Raise CellFailure where a step breaks its contract, or answers with nan."""
    if not isinstance(preprocessed, Preprocessed):
        raise CellFailure("error", f"{name} returned {type(preprocessed).__name__} instead of Preprocessed")
    series = preprocessed.series
    told = (series.modality, tuple(series.data.shape), str(series.data.dtype))
    if told != (expected := (modality, shape, "float32")):
        raise CellFailure("error", f"{name} makes a series of {told}, not of {expected}")
    if preprocessed.shifts_A is not None and preprocessed.shifts_A.shape != (shape[0], 2):
        raise CellFailure("error", f"{name}: shifts_A has shape {preprocessed.shifts_A.shape}, not {(shape[0], 2)}")
    wrong = [key for key, array in preprocessed.extras.items() if by_tilt and np.shape(array)[:1] != shape[:1]]
    if wrong:
        raise CellFailure("error", f"{name}: the extras {wrong} do not have an entry per tilt as their first axis")
    if not np.isfinite(series.data).all():
        raise CellFailure("diverged", f"{name} makes values that are not finite")


def _save(folder: Path, preprocessed: Preprocessed, facts: Mapping[str, Any]) -> None:
    save_preprocessed(folder, preprocessed)
    write_text(folder / FACTS, json.dumps(facts))


def _facts(folder: Path) -> dict[str, Any]:
    return json.loads((folder / FACTS).read_text(encoding="utf-8"))


def _together(tilts: Sequence[Preprocessed]) -> Preprocessed:
    """Join preprocessed tilts to a series: the extras along their first axis, and every remark once."""
    series = [one.series for one in tilts]
    data, rotations = (np.concatenate([getattr(one, name) for one in series]) for name in ("data", "rotations"))
    dose = sum(one.dose_e_per_A2 for one in series)
    remark = "; ".join(dict.fromkeys(one.remark for one in tilts if one.remark))
    shifts = [one.shifts_A for one in tilts if one.shifts_A is not None]
    extras = {name: np.concatenate([one.extras[name] for one in tilts]) for name in tilts[0].extras}
    whole = replace(series[0], data=data, rotations=rotations, dose_e_per_A2=dose)
    return Preprocessed(whole, np.concatenate(shifts) if shifts else None, extras, remark)


def _added(facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all tilts took together: seconds one after the other, and the most memory of one."""
    return {
        "seconds": sum(one["seconds"] for one in facts),
        "peak_memory_bytes": max(one["peak_memory_bytes"] for one in facts),
    }
