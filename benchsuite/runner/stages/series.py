"""series: the recorded tilt series: images with drift, background and the noise of a finite dose."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite import microscope
from benchsuite.atomic import write_text
from benchsuite.contract.settings import Acquisition
from benchsuite.data import Modality
from benchsuite.runner.stages.base import Bench, SeriesSource
from benchsuite.runner.stages.image import ImageStage, load_image
from benchsuite.scenario import Experiment
from benchsuite.storage import SERIES, json_safe, save_series

IMPERFECTIONS = "imperfections.json"


@dataclass(frozen=True, eq=False)
class SeriesStage(SeriesSource):
    name = "series"
    shared = True

    experiment: Experiment
    repeat: int
    modality: Modality
    images: Sequence[ImageStage]

    def inputs(self) -> Mapping[str, Any]:
        e = self.experiment
        noisy = np.isfinite(e.acquisition.dose_e_per_A2) or e.acquisition.imperfections.any()
        return {
            "dose_e_per_A2": e.acquisition.dose_e_per_A2,
            "imperfections": e.acquisition.imperfections.model_dump(mode="json"),
            "tilts": e.acquisition.tilts.model_dump(mode="json"),
            "seed": e.seed,
            "repeat": self.repeat if noisy else 0,
            "modality": self.modality,
        }

    def upstream(self) -> Sequence[ImageStage]:
        return self.images

    def shape(self) -> tuple[int, ...]:
        e = self.experiment
        return microscope.empty_series(e.microscope, e.simulation, e.acquisition, self.modality).data.shape

    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        e, acquisition = self.experiment, self.experiment.acquisition
        drift = microscope.true_drift_A(e.microscope, acquisition, e.seed, self.repeat)
        series = microscope.empty_series(e.microscope, e.simulation, acquisition, self.modality)
        rng = microscope.dose_generator(self.modality, e.seed, self.repeat)
        moved = drift if acquisition.mode == "adf" else np.zeros_like(drift)  # of a 4D-STEM scan, when it was simulated
        load = functools.partial(load_image, modality=self.modality)
        recorded = microscope.record(
            map(load, sources), len(sources), acquisition, moved, rng, _brightest(acquisition, sources, load)
        )
        save_series(folder / SERIES, recorded, series)
        hidden = {"drift_A": drift, "true_rotations": microscope.true_rotations(acquisition, e.seed, self.repeat)}
        write_text(folder / IMPERFECTIONS, json.dumps(json_safe(hidden)))


def _brightest(acquisition: Acquisition, sources: Sequence[Path], load: Callable[[Path], np.ndarray]) -> float:
    """The largest value of the whole series, of which the background is a fraction; read only where there is a background."""
    return max(float(load(source).max()) for source in sources) if acquisition.imperfections.background else 0.0
