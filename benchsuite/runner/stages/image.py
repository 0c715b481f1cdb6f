"""image: one noise-free tilt, phonon-averaged, in fractions of the incident electrons per position: images, or patterns as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite import microscope, seeds
from benchsuite.contract.cost import Cost
from benchsuite.data import Modality
from benchsuite.runner.stages.base import Bench, Stage, once
from benchsuite.runner.stages.phantom import PhantomStage, truth
from benchsuite.scenario import Experiment

IMAGE, PATTERNS = "image.npy", "patterns.npy"


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
        phonons, detector = e.acquisition.frozen_phonons, e.acquisition.detector
        inputs = {
            "rotation": np.round(self.rotation(), 12).tolist(),
            "microscope": e.microscope.model_dump(mode="json"),
            "simulation": e.simulation.model_dump(mode="json", exclude=self._unused()),
            "scan": e.acquisition.scan.model_dump(mode="json"),
            "detector": detector.model_dump(mode="json") if detector else None,
            "phonons": phonons.model_dump(mode="json") if phonons else None,
            "seed": self.seed() if phonons else None,
        }
        if self._patterns():
            inputs |= {"camera": e.acquisition.camera.model_dump(mode="json"), "drift_A": self.drift_A().tolist()}
        return inputs

    def _unused(self) -> set[str]:
        return (
            {"abtem": {"engine", "window_A"}, "incoherent": {"method", "prism_interpolation", "window_A"}}[self.experiment.engine]
            if not self._patterns()
            else set()
        )

    def _patterns(self) -> bool:
        return self.experiment.acquisition.mode == "4dstem"

    def drift_A(self) -> np.ndarray:
        """The (n_focus, 2) shifts of the specimen in the scans of this tilt; an image is shifted later, when it is recorded."""
        return true_drift_A(self.experiment, self.repeat)[self.tilt]

    def seed(self) -> int:
        return seeds.seed_for(self.experiment.seed, "phonons", self.experiment.specimen_repeat(self.repeat), self.tilt)

    @once
    def upstream(self) -> Sequence[Stage]:
        return (PhantomStage(self.experiment, self.repeat),)

    def cost(self) -> Cost:
        e = self.experiment
        return microscope.simulate_cost(e.microscope, e.simulation, e.acquisition)

    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        e, acquisition = self.experiment, self.experiment.acquisition
        specimen = (truth(sources[0]), self.rotation(), e.microscope, e.simulation)
        if self._patterns():
            from benchsuite.microscope.diffraction import simulate_diffraction

            def on_disk(name: str, shape: tuple[int, ...]) -> np.ndarray:
                file = {"patterns": PATTERNS, "adf": IMAGE}[name]
                return np.lib.format.open_memmap(folder / file, mode="w+", dtype=np.float32, shape=shape)

            simulate_diffraction(*specimen, acquisition, self.seed(), self.drift_A(), allocate=on_disk)
            return
        assert acquisition.detector is not None  # check_physics has seen to it
        recorded = (acquisition.scan, acquisition.detector, acquisition.frozen_phonons)
        if e.engine == "incoherent":
            from benchsuite.microscope.incoherent import simulate_incoherent

            image = simulate_incoherent(*specimen, *recorded)
        else:
            from benchsuite.microscope.adf import simulate_adf

            image = simulate_adf(*specimen, *recorded, self.seed())
        np.save(folder / IMAGE, image, allow_pickle=False)


def true_rotations(experiment: Experiment, repeat: int) -> np.ndarray:
    """Return the (n, 3, 3) rotations that the specimen really has: the nominal ones with the drawn tilt errors."""
    rng = seeds.generator(experiment.seed, "tilt_error", repeat)
    rotations, _errors_deg = microscope.true_rotations(experiment.acquisition.tilts, experiment.acquisition.imperfections, rng)
    return rotations


def true_drift_A(experiment: Experiment, repeat: int) -> np.ndarray:
    """Return the (n_tilt, n_focus, 2) shifts (x, y) in Å of the specimen in every scan."""
    rng = seeds.generator(experiment.seed, "drift", repeat)
    return microscope.true_drift_A(experiment.acquisition, len(experiment.microscope.defoci_A), rng)


def load_image(folder: Path, modality: Modality = "adf") -> np.ndarray:
    """Return the (n_focus, ny, nx) image of an entry, or its (n_focus, ny, nx, q_y, q_x) patterns, mapped from disk."""
    return np.load(folder / (IMAGE if modality == "adf" else PATTERNS), mmap_mode="r", allow_pickle=False)
