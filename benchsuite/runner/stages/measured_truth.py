"""truth: atoms of a file, in the frame of the specimen as the scenario states it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from benchsuite.content_hash import content_hash
from benchsuite.measured.settings import Frame, Truth
from benchsuite.phantoms.file import read_atoms
from benchsuite.phantoms.shape import bounding_sphere
from benchsuite.runner.stages.base import Bench, Stage
from benchsuite.runner.stages.phantom import FILE
from benchsuite.scenario import Experiment
from benchsuite.storage import save_atoms


@dataclass(frozen=True, eq=False)
class MeasuredTruthStage(Stage):
    """Atoms whose frame is to be found (`register`) are stored as the file has them, about their mean."""

    name = "truth"

    experiment: Experiment

    def truth(self) -> Truth:
        """The section of the scenario. Raises ValueError where there is none."""
        if self.experiment.measured is None or self.experiment.measured.truth is None:
            raise ValueError("a scenario without truth")
        return self.experiment.measured.truth

    def inputs(self) -> Mapping[str, Any]:
        truth = self.truth()
        return {"content": content_hash(Path(truth.file)), "frame": self.frame().model_dump(mode="json")}

    def frame(self) -> Frame:
        """The frame that is stated, or the one from which the search for it starts."""
        truth = self.truth()
        return Frame(centre="mean") if truth.register_ else truth.frame

    @property
    def libraries(self) -> tuple[str, ...]:
        return ("ase",)

    def upstream(self) -> Sequence[Stage]:
        return ()

    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        atoms = read_atoms(self.truth().file, "truth.file")
        atoms.positions = in_frame(atoms, self.frame())
        save_atoms(folder / FILE, atoms)


def in_frame(atoms: Atoms, frame: Frame) -> np.ndarray:
    """Return the positions (n, 3) of atoms in our frame: rows of the matrix are our axes in the file's."""
    if isinstance(frame.centre, str):
        centre = {
            "origin": lambda: np.zeros(3),
            "mean": lambda: atoms.positions.mean(axis=0),
            "sphere": lambda: bounding_sphere(atoms.positions)[0],
        }[frame.centre]()
    else:
        centre = np.array(frame.centre)
    matrix = np.zeros((3, 3))
    for row, axis in enumerate(frame.axes):
        matrix[row, "xyz".index(axis[-1])] = -1.0 if axis.startswith("-") else 1.0
    return (atoms.positions - centre) @ matrix.T
