"""image: one noise-free tilt, phonon-averaged, in fractions of the incident electrons per position: images, or patterns as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite import microscope, seeds
from benchsuite.contract.plug import Cost
from benchsuite.contract.simulator import AnySimulator
from benchsuite.data import Modality
from benchsuite.runner.stages.base import Bench, Stage
from benchsuite.runner.stages.phantom import PhantomStage, class_version, truth
from benchsuite.scenario import Experiment

FILES: dict[Modality, str] = {"adf": "image.npy", "4dstem": "patterns.npy"}


@dataclass(frozen=True, eq=False)
class ImageStage(Stage):
    name = "image"
    per_tilt = True
    simulates = True

    experiment: Experiment
    repeat: int
    tilt: int
    specimen: PhantomStage

    def rotation(self) -> np.ndarray:
        """The (3, 3) rotation that the specimen really has, tilt error included."""
        return microscope.true_rotations(self.experiment.acquisition, self.experiment.seed, self.repeat)[self.tilt]

    def simulator(self) -> AnySimulator:
        """The engine that simulates, with its own parameters."""
        return microscope.simulator_of(self.experiment.simulation, self.experiment.acquisition.mode)

    @property
    def libraries(self) -> tuple[str, ...]:
        return ("ase", *self.simulator().libraries)

    def inputs(self) -> Mapping[str, Any]:
        e, simulator = self.experiment, self.simulator()
        phonons, detector = e.acquisition.frozen_phonons, e.acquisition.detector
        inputs = {
            "rotation": np.round(self.rotation(), 12).tolist(),
            "engine": e.engine,
            "params": simulator.params.model_dump(mode="json"),
            "microscope": e.microscope.model_dump(mode="json"),
            "simulation": e.simulation.model_dump(mode="json", exclude={"engine", "params", *simulator.unread}),
            "scan": e.acquisition.scan.model_dump(mode="json"),
            "detector": detector.model_dump(mode="json") if detector else None,
            "phonons": phonons.model_dump(mode="json") if phonons else None,
            "seed": self.seed() if phonons else None,
        }
        if e.acquisition.mode == "4dstem":
            inputs |= {"camera": e.acquisition.camera.model_dump(mode="json"), "drift_A": self.drift_A().tolist()}
        return inputs

    def code(self) -> dict[str, str]:
        return class_version(type(self), type(self.simulator()))

    def drift_A(self) -> np.ndarray:
        """The (n_focus, 2) shifts of the specimen in the scans of this tilt; an image is shifted later, when it is recorded."""
        e = self.experiment
        return microscope.true_drift_A(e.microscope, e.acquisition, e.seed, self.repeat)[self.tilt]

    def seed(self) -> int:
        return seeds.seed_for(self.experiment.seed, "phonons", self.experiment.specimen_repeat(self.repeat), self.tilt)

    def upstream(self) -> Sequence[Stage]:
        return (self.specimen,)

    def cost(self) -> Cost:
        e = self.experiment
        return microscope.simulate_cost(e.microscope, e.simulation, e.acquisition)

    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        allocated: dict[Modality, np.ndarray] = {}

        def on_disk(modality: Modality, shape: tuple[int, ...]) -> np.ndarray:
            file = folder / FILES[modality]
            return allocated.setdefault(modality, np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape))

        e, more = self.experiment, {"seed": self.seed(), "drift_A": self.drift_A(), "allocate": on_disk}
        made = microscope.simulate(truth(sources[0]), self.rotation(), e.microscope, e.simulation, e.acquisition, **more)
        for modality, array in made.items():
            if array is not allocated.get(modality):
                np.save(folder / FILES[modality], array, allow_pickle=False)


def load_image(folder: Path, modality: Modality = "adf") -> np.ndarray:
    """Return the (n_focus, ny, nx) image of an entry, or its (n_focus, ny, nx, q_y, q_x) patterns, mapped from disk."""
    return np.load(folder / FILES[modality], mmap_mode="r", allow_pickle=False)
