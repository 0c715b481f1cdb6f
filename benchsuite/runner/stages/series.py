"""series: the recorded tilt series: images with drift, background and the noise of a finite dose."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite import microscope, seeds
from benchsuite.atomic import write_text
from benchsuite.contract.settings import Acquisition
from benchsuite.data import Modality, Optics, TiltSeries
from benchsuite.runner.stages.base import Bench, Stage, once
from benchsuite.runner.stages.image import ImageStage, load_image, true_drift_A, true_rotations
from benchsuite.scenario import Experiment
from benchsuite.storage import SERIES, json_safe, save_series

IMPERFECTIONS = "imperfections.json"


@dataclass(frozen=True)
class SeriesStage(Stage):
    name = "series"

    experiment: Experiment
    repeat: int
    modality: Modality = "adf"

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

    @once
    def upstream(self) -> Sequence[ImageStage]:
        tilts = len(microscope.rotations(self.experiment.acquisition.tilts))
        return [ImageStage(self.experiment, self.repeat, tilt) for tilt in range(tilts)]

    def shape(self) -> tuple[int, ...]:
        """The shape of the data."""
        e, acquisition = self.experiment, self.experiment.acquisition
        patterns = acquisition.camera.pixels if self.modality == "4dstem" else ()
        tilts, foci = len(microscope.rotations(acquisition.tilts)), len(e.microscope.defoci_A)
        return (tilts, foci, *acquisition.scan.positions, *patterns)

    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        e, acquisition = self.experiment, self.experiment.acquisition
        first = load_image(sources[0], self.modality)
        drift = true_drift_A(e, self.repeat)
        series = TiltSeries(
            modality=self.modality,
            data=np.broadcast_to(np.float32(0), (len(sources), *first.shape)),  # shape and type; the tilts follow one by one
            rotations=microscope.rotations(acquisition.tilts),
            scan_step_A=acquisition.scan.step_A,
            optics=Optics(
                energy_keV=e.microscope.energy_keV,
                semiangle_mrad=e.microscope.semiangle_mrad,
                aberrations_A=dict(e.microscope.aberrations_A),
                focal_plane=e.microscope.focal_plane,
            ),
            defocus_A=np.array(e.microscope.defoci_A),
            dose_e_per_A2=acquisition.dose_e_per_A2,
            detector_mrad=_annulus(acquisition) if self.modality == "adf" else None,
            reciprocal_step_per_A=1 / microscope.camera_field_A(acquisition) if self.modality == "4dstem" else None,
        )
        # patterns and the virtual image fall on different parts of the detector: their counts are independent
        rng = seeds.generator(e.seed, "dose" if self.modality == "adf" else "dose of patterns", self.repeat)
        moved = drift if acquisition.mode == "adf" else np.zeros_like(drift)  # of a 4D-STEM scan, when it was simulated
        load = functools.partial(load_image, modality=self.modality)
        recorded = microscope.record(
            map(load, sources), len(sources), acquisition, moved, rng, _brightest(acquisition, sources, load)
        )
        save_series(folder / SERIES, recorded, series)
        hidden = {"drift_A": drift, "true_rotations": true_rotations(e, self.repeat)}
        write_text(folder / IMPERFECTIONS, json.dumps(json_safe(hidden)))


def _annulus(acquisition: Acquisition) -> tuple[float, float] | None:
    return (acquisition.detector.inner_mrad, acquisition.detector.outer_mrad) if acquisition.detector else None


def _brightest(acquisition: Acquisition, sources: Sequence[Path], load: Callable[[Path], np.ndarray]) -> float:
    """The largest value of the whole series, of which the background is a fraction; read only where there is a background."""
    return max(float(load(source).max()) for source in sources) if acquisition.imperfections.background else 0.0
