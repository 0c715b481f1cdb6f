"""series: the recorded tilt series: images with drift, background and the noise of a finite dose."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite import microscope, seeds
from benchsuite.atomic import write_text
from benchsuite.data import Optics, TiltSeries
from benchsuite.runner.stages.base import Notify, Stage
from benchsuite.runner.stages.image import ImageStage, load_image, true_rotations
from benchsuite.scenario import Experiment
from benchsuite.storage import json_safe, save_series

FOLDER = "series.zarr"
IMPERFECTIONS = "imperfections.json"


@dataclass(frozen=True)
class SeriesStage(Stage):
    name = "series"

    experiment: Experiment
    repeat: int

    def inputs(self) -> Mapping[str, Any]:
        e = self.experiment
        noisy = np.isfinite(e.acquisition.dose_e_per_A2) or e.acquisition.imperfections.any()
        return {
            "dose_e_per_A2": e.acquisition.dose_e_per_A2,
            "imperfections": e.acquisition.imperfections.model_dump(mode="json"),
            "tilts": e.acquisition.tilts.model_dump(mode="json"),
            "seed": e.seed,
            "repeat": self.repeat if noisy else 0,
        }

    def upstream(self) -> Sequence[ImageStage]:
        tilts = len(microscope.rotations(self.experiment.acquisition.tilts))
        return [ImageStage(self.experiment, self.repeat, tilt) for tilt in range(tilts)]

    def make(self, folder: Path, sources: Sequence[Path], notify: Notify) -> None:
        e, acquisition = self.experiment, self.experiment.acquisition
        images = np.stack([load_image(source) for source in sources])
        data, drift = microscope.record(
            images,
            acquisition,
            seeds.generator(e.seed, "drift", self.repeat),
            seeds.generator(e.seed, "dose", self.repeat),
        )
        series = TiltSeries(
            modality="adf",
            data=data,
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
            detector_mrad=(acquisition.detector.inner_mrad, acquisition.detector.outer_mrad),
        )
        save_series(folder / FOLDER, iter(data), series)
        hidden = {"drift_A": drift, "true_rotations": true_rotations(e, self.repeat)}
        write_text(folder / IMPERFECTIONS, json.dumps(json_safe(hidden)))
