"""A cell: one experiment, one repeat, one reconstructor; typed, and plain JSON on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms

from benchsuite import registry
from benchsuite.content_hash import content_hash
from benchsuite.data import Modality
from benchsuite.measured.settings import SeriesFile, Truth, dump
from benchsuite.microscope.settings import Acquisition, Microscope, Simulation, VolumeGrid
from benchsuite.params import Params
from benchsuite.phantoms.substrate import Substrate
from benchsuite.scenario.schema import Analysis, Limits
from benchsuite.storage import json_safe

SECTIONS: dict[str, type[Params]] = {
    "microscope": Microscope,
    "simulation": Simulation,
    "acquisition": Acquisition,
    "grid": VolumeGrid,
    "analysis": Analysis,
    "limits": Limits,
}


@dataclass(frozen=True)
class PhantomSpec:
    kind: str
    label: str
    params: Params
    substrate: Substrate | None = None

    def build(self, rng: np.random.Generator) -> Atoms:
        """Return the ground truth; the particle is the same with and without a substrate."""
        atoms = registry.phantom(self.kind)(self.params).build(rng)
        return atoms if self.substrate is None else self.substrate.under(atoms, rng)


@dataclass(frozen=True)
class StepSpec:
    """A preprocessing by its registered name."""

    name: str
    params: Params


@dataclass(frozen=True)
class ReconstructorSpec:
    """A reconstructor by its registered name, and the steps that prepare its series."""

    name: str
    label: str
    params: Params
    preprocess: tuple[StepSpec, ...] = ()


@dataclass(frozen=True)
class MeasuredData:
    """A series in files, and atoms in a file to compare with: sections with absolute paths, and all files that are read.

    What the series is, as a simulation would be described, is the experiment's `acquisition` and `microscope`.
    """

    series: SeriesFile
    modality: Modality
    files: tuple[str, ...]
    told: str
    truth: Truth | None = None
    known: tuple[str, ...] = ()

    def content(self) -> tuple[str, ...]:
        """The hashes of the files: computed here, or by the process that asked for this work."""
        return self.known or tuple(content_hash(Path(file)) for file in self.files)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON-able values, with the hashes of the content."""
        truth = None if self.truth is None else dump(self.truth)
        plain = {"modality": self.modality, "files": list(self.files), "told": self.told, "known": list(self.content())}
        return {**plain, "series": dump(self.series), "truth": truth}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MeasuredData:
        """Return what `to_json` described."""
        truth = None if data["truth"] is None else Truth.model_validate(data["truth"])
        series = SeriesFile.model_validate(data["series"])
        return cls(series, data["modality"], tuple(data["files"]), data["told"], truth, tuple(data["known"]))


@dataclass(frozen=True)
class Experiment:
    """Everything that decides the data and how answers are analysed; no reconstructor.

    Either there is a phantom, or there are data of one's own.
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
        """The phantom. Raises ValueError where the series is somebody's own."""
        if self.phantom is None:
            raise ValueError("a series in files has no phantom")
        return self.phantom

    @property
    def recorded(self) -> Modality:
        """What the microscope recorded."""
        return self.measured.modality if self.measured is not None else self.acquisition.mode

    @property
    def engine(self) -> str:
        """What simulates: the native engine has no images, the incoherent one no patterns; "file" where nothing does."""
        if self.measured is not None:
            return "file"
        chosen, images = self.simulation.engine, self.acquisition.mode == "adf"
        return "abtem" if chosen == ("native" if images else "incoherent") else chosen

    def specimen_repeat(self, repeat: int) -> int:
        """Return the repeat that seeds specimen and phonons: 0 for all repeats that redraw the noise only."""
        return repeat if self.redraw == "all" else 0


@dataclass(frozen=True)
class Cell:
    """One row of the results: `swept` maps the swept keys to the values shown in tables; `first` has the atoms to refine."""

    id: str
    swept: Mapping[str, Any]
    repeat: int
    experiment: Experiment
    reconstructor: ReconstructorSpec
    first: Cell | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the cell as plain JSON-able values."""
        e = self.experiment
        experiment: dict[str, Any] = {"seed": e.seed, "redraw": e.redraw, "phantom": _phantom_json(e.phantom)}
        experiment |= {"measured": e.measured.to_json()} if e.measured is not None else {}
        experiment |= {name: json_safe(getattr(e, name).model_dump()) for name in SECTIONS}
        reconstructor = _spec(self.reconstructor, name=self.reconstructor.name)
        steps = self.reconstructor.preprocess
        reconstructor["preprocess"] = [{"name": step.name, "params": json_safe(step.params.model_dump())} for step in steps]
        swept = json_safe(dict(self.swept))
        told = {"id": self.id, "swept": swept, "repeat": self.repeat, "experiment": experiment, "reconstructor": reconstructor}
        return told if self.first is None else {**told, "first": self.first.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cell:
        """Return the cell that `to_json` described."""
        e, r = data["experiment"], data["reconstructor"]
        sections: dict[str, Any] = {name: model.model_validate(e[name]) for name, model in SECTIONS.items()}
        measured = MeasuredData.from_json(e["measured"]) if "measured" in e else None
        experiment = Experiment(e["seed"], e["redraw"], _phantom_of(e["phantom"]), **sections, measured=measured)
        params = registry.reconstructor(r["name"]).Params.model_validate(r["params"])
        spec = ReconstructorSpec(r["name"], r["label"], params, tuple(map(_step, r["preprocess"])))
        first = cls.from_json(data["first"]) if "first" in data else None
        return cls(data["id"], data["swept"], data["repeat"], experiment, spec, first)


def _phantom_json(phantom: PhantomSpec | None) -> dict[str, Any] | None:
    if phantom is None:
        return None
    told = _spec(phantom, kind=phantom.kind)
    return told if phantom.substrate is None else {**told, "substrate": json_safe(phantom.substrate.model_dump())}


def _phantom_of(p: Mapping[str, Any] | None) -> PhantomSpec | None:
    if p is None:
        return None
    substrate = Substrate.model_validate(p["substrate"]) if "substrate" in p else None
    return PhantomSpec(p["kind"], p["label"], registry.phantom(p["kind"]).Params.model_validate(p["params"]), substrate)


def _step(step: Mapping[str, Any]) -> StepSpec:
    return StepSpec(step["name"], registry.preprocessing(step["name"]).Params.model_validate(step["params"]))


def _spec(spec: PhantomSpec | ReconstructorSpec, **naming: str) -> dict[str, Any]:
    return {**naming, "label": spec.label, "params": json_safe(spec.params.model_dump())}
