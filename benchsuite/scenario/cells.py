"""A cell: one experiment, one repeat, one reconstructor. Frozen models, which travel to workers as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from pydantic import SerializeAsAny, ValidationInfo, field_serializer, field_validator
from pydantic_core import to_json

from benchsuite import microscope, registry
from benchsuite.content_hash import content_hash
from benchsuite.contract.settings import Acquisition, Microscope, Simulation, VolumeGrid
from benchsuite.data import Modality
from benchsuite.measured.settings import SeriesFile, Truth
from benchsuite.params import Params
from benchsuite.phantoms.substrate import Substrate
from benchsuite.scenario.schema import Analysis, Limits

SECTIONS: dict[str, type[Params]] = {
    "microscope": Microscope,
    "simulation": Simulation,
    "acquisition": Acquisition,
    "grid": VolumeGrid,
    "analysis": Analysis,
    "limits": Limits,
}


class RegisteredSpec(Params):
    """A class of the registry by its name, with its parameters; the name tells which class of parameters JSON is read as."""

    registry_kind: ClassVar[str]

    name: str
    params: SerializeAsAny[Params]

    @field_validator("params", mode="before")
    @classmethod
    def _of_the_registered_class(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, Params) or "name" not in info.data:
            return value
        return registry.registered(cls.registry_kind, info.data["name"]).Params.model_validate_json(
            to_json(value, inf_nan_mode="constants")
        )


class PhantomSpec(RegisteredSpec):
    """A phantom, and the substrate that it lies on, if any."""

    registry_kind = "phantom"

    label: str
    substrate: Substrate | None = None

    def build(self, rng: np.random.Generator) -> Atoms:
        """Return the ground truth; the particle is the same with and without a substrate."""
        atoms = registry.phantom(self.name)(self.params).build(rng)
        return atoms if self.substrate is None else self.substrate.under(atoms, rng)


class StepSpec(RegisteredSpec):
    """A preprocessing step."""

    registry_kind = "preprocessing"


class ReconstructorSpec(RegisteredSpec):
    """A reconstructor, and the steps that preprocess its series."""

    registry_kind = "reconstructor"

    label: str
    preprocess: tuple[StepSpec, ...] = ()


class MeasuredData(Params):
    """A series in files, and atoms in a file to compare with: sections with absolute paths, all files, and their readers.

    What the series is, as a simulation would be described, is the experiment's `acquisition` and `microscope`.
    """

    series: SeriesFile
    modality: Modality
    files: tuple[str, ...]
    readers: tuple[str, ...]
    description: str
    truth: Truth | None = None
    hashes: tuple[str, ...] = ()

    def content(self) -> tuple[str, ...]:
        """The hashes of the files: computed here, or by the process that sent this cell."""
        return self.hashes or tuple(content_hash(Path(file)) for file in self.files)

    @field_serializer("hashes")
    def _content(self, _hashes: tuple[str, ...]) -> tuple[str, ...]:
        return self.content()


class Experiment(Params):
    """Everything that decides the data and how answers are analysed; no reconstructor.

    Either there is a phantom, or there are measured data.
    """

    seed: int
    redraw: Literal["noise", "all"]
    phantom: PhantomSpec | None
    microscope: Microscope
    simulation: Simulation
    acquisition: Acquisition
    grid: VolumeGrid
    analysis: Analysis
    limits: Limits
    measured: MeasuredData | None = None

    @property
    def specimen(self) -> PhantomSpec:
        """The phantom. Raises ValueError where the series is a measured one."""
        if self.phantom is None:
            raise ValueError("measured data have no phantom")
        return self.phantom

    @property
    def recorded(self) -> Modality:
        """What the microscope recorded."""
        return self.measured.modality if self.measured is not None else self.acquisition.mode

    @property
    def engine(self) -> str:
        """The name of the engine that simulates; "measured" of measured data."""
        return "measured" if self.measured is not None else microscope.engine_name(self.simulation, self.acquisition.mode)

    def specimen_repeat(self, repeat: int) -> int:
        """Return the repeat that seeds specimen and phonons: 0 for all repeats that redraw the noise only."""
        return repeat if self.redraw == "all" else 0


class Cell(Params):
    """One row of the results: `swept` maps the swept keys to the values shown in tables; the atoms of `initial` are refined."""

    id: str
    swept: dict[str, Any]
    repeat: int
    experiment: Experiment
    reconstructor: ReconstructorSpec
    initial: Cell | None = None
