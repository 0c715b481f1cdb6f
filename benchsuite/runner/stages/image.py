"""image: one noise-free tilt of the series, phonon-averaged, as the fraction of the incident electrons per position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite import microscope, seeds
from benchsuite.contract import Cost
from benchsuite.runner.stages.base import Notify, Stage
from benchsuite.runner.stages.phantom import PhantomStage, truth
from benchsuite.scenario import Experiment

FILE = "image.npy"


@dataclass(frozen=True)
class ImageStage(Stage):
    name = "image"
    libraries = ("abtem", "ase")

    experiment: Experiment
    repeat: int
    tilt: int

    def rotation(self) -> np.ndarray:
        """The (3, 3) rotation that the specimen really has, tilt error included."""
        return true_rotations(self.experiment, self.repeat)[self.tilt]

    def inputs(self) -> Mapping[str, Any]:
        e = self.experiment
        phonons = e.acquisition.frozen_phonons
        return {
            "rotation": np.round(self.rotation(), 12).tolist(),
            "microscope": e.microscope.model_dump(mode="json"),
            "simulation": e.simulation.model_dump(mode="json"),
            "scan": e.acquisition.scan.model_dump(mode="json"),
            "detector": e.acquisition.detector.model_dump(mode="json"),
            "phonons": phonons.model_dump(mode="json") if phonons else None,
            "seed": self.seed() if phonons else None,
        }

    def seed(self) -> int:
        return seeds.seed_for(self.experiment.seed, "phonons", self.experiment.specimen_repeat(self.repeat), self.tilt)

    def upstream(self) -> Sequence[Stage]:
        return (PhantomStage(self.experiment, self.repeat),)

    def cost(self) -> Cost:
        e = self.experiment
        return microscope.simulate_cost(e.microscope, e.simulation, e.acquisition.scan, e.acquisition.frozen_phonons)

    def make(self, folder: Path, sources: Sequence[Path], notify: Notify) -> None:
        e = self.experiment
        from benchsuite.microscope.adf import simulate_adf

        image = simulate_adf(
            truth(sources[0]),
            self.rotation(),
            e.microscope,
            e.simulation,
            e.acquisition.scan,
            e.acquisition.detector,
            e.acquisition.frozen_phonons,
            self.seed(),
        )
        np.save(folder / FILE, image, allow_pickle=False)


def true_rotations(experiment: Experiment, repeat: int) -> np.ndarray:
    """Return the (n, 3, 3) rotations that the specimen really has: the nominal ones with the drawn tilt errors."""
    rng = seeds.generator(experiment.seed, "tilt_error", repeat)
    rotations, _errors_deg = microscope.true_rotations(experiment.acquisition.tilts, experiment.acquisition.imperfections, rng)
    return rotations


def load_image(folder: Path) -> np.ndarray:
    """Return the (n_focus, ny, nx) image of an entry."""
    return np.load(folder / FILE, allow_pickle=False)
