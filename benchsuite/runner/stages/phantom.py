"""phantom: the ground truth, as extended XYZ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms

from benchsuite import registry, seeds
from benchsuite.code_version import code_version, file_version
from benchsuite.runner.stages.base import Bench, Stage
from benchsuite.scenario import Experiment
from benchsuite.storage import load_atoms, save_atoms

FILE = "truth.extxyz"


@dataclass(frozen=True, eq=False)
class PhantomStage(Stage):
    name = "phantom"
    shared = True

    experiment: Experiment
    repeat: int

    def inputs(self) -> Mapping[str, Any]:
        spec = self.experiment.specimen
        built = registry.phantom(spec.name)(spec.params)
        inputs = {
            "kind": spec.name,
            "params": spec.params.model_dump(mode="json"),
            "outside": built.outside_content(),
            "seed": self.experiment.seed,
            "repeat": self.experiment.specimen_repeat(self.repeat),
        }
        return inputs if spec.substrate is None else {**inputs, "substrate": spec.substrate.model_dump(mode="json")}

    @property
    def libraries(self) -> tuple[str, ...]:
        return ("ase",)

    def upstream(self) -> Sequence[Stage]:
        return ()

    def code(self) -> dict[str, str]:
        spec = self.experiment.specimen
        versions = class_version(type(self), registry.phantom(spec.name))
        return versions if spec.substrate is None else {**versions, **code_version([type(spec.substrate).__module__])}

    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        rng = seeds.generator(self.experiment.seed, "phantom", self.experiment.specimen_repeat(self.repeat))
        save_atoms(folder / FILE, self.experiment.specimen.build(rng))


def truth(folder: Path) -> Atoms:
    """Return the ground truth stored in a phantom entry."""
    return load_atoms(folder / FILE)


def class_version(stage: type, *classes: type) -> dict[str, str]:
    """Return the code version of a stage together with that of registered classes, which may live in plugin files."""
    versions = code_version([stage.__module__, *(cls.__module__ for cls in classes)])
    for cls in classes:
        if cls.__module__ not in versions:
            versions |= file_version(registry.source_file(cls))
    return versions
