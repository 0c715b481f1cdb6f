"""A cell: one experiment, one repeat, one reconstructor; typed, and plain JSON on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ase import Atoms

from benchsuite import registry
from benchsuite.params import Params
from benchsuite.phantoms.substrate import Substrate
from benchsuite.scenario.schema import Acquisition, Analysis, Limits, Microscope, Simulation, VolumeGrid
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
    """A preparation by its registered name."""

    name: str
    params: Params


@dataclass(frozen=True)
class ReconstructorSpec:
    """A reconstructor by its registered name, and the steps that prepare its series."""

    name: str
    label: str
    params: Params
    prepare: tuple[StepSpec, ...] = ()


@dataclass(frozen=True)
class Experiment:
    """Everything that decides the data and how answers are analysed; no reconstructor."""

    seed: int
    redraw: Literal["noise", "all"]
    phantom: PhantomSpec
    microscope: Microscope
    simulation: Simulation
    acquisition: Acquisition
    grid: VolumeGrid
    analysis: Analysis
    limits: Limits

    @property
    def engine(self) -> str:
        """What simulates: the native engine has no images, the incoherent one no patterns."""
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
        phantom = _spec(e.phantom, kind=e.phantom.kind)
        if e.phantom.substrate is not None:
            phantom["substrate"] = json_safe(e.phantom.substrate.model_dump())
        experiment = {"seed": e.seed, "redraw": e.redraw, "phantom": phantom}
        experiment |= {name: json_safe(getattr(e, name).model_dump()) for name in SECTIONS}
        reconstructor = _spec(self.reconstructor, name=self.reconstructor.name)
        steps = self.reconstructor.prepare
        reconstructor["prepare"] = [{"name": step.name, "params": json_safe(step.params.model_dump())} for step in steps]
        swept = json_safe(dict(self.swept))
        told = {"id": self.id, "swept": swept, "repeat": self.repeat, "experiment": experiment, "reconstructor": reconstructor}
        return told if self.first is None else {**told, "first": self.first.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cell:
        """Return the cell that `to_json` described."""
        e, r = data["experiment"], data["reconstructor"]
        p = e["phantom"]
        substrate = Substrate.model_validate(p["substrate"]) if "substrate" in p else None
        phantom = PhantomSpec(p["kind"], p["label"], registry.phantom(p["kind"]).Params.model_validate(p["params"]), substrate)
        sections: dict[str, Any] = {name: model.model_validate(e[name]) for name, model in SECTIONS.items()}
        experiment = Experiment(e["seed"], e["redraw"], phantom, **sections)
        params = registry.reconstructor(r["name"]).Params.model_validate(r["params"])
        spec = ReconstructorSpec(r["name"], r["label"], params, tuple(map(_step, r["prepare"])))
        first = cls.from_json(data["first"]) if "first" in data else None
        return cls(data["id"], data["swept"], data["repeat"], experiment, spec, first)


def _step(step: Mapping[str, Any]) -> StepSpec:
    return StepSpec(step["name"], registry.preparation(step["name"]).Params.model_validate(step["params"]))


def _spec(spec: PhantomSpec | ReconstructorSpec, **naming: str) -> dict[str, Any]:
    return {**naming, "label": spec.label, "params": json_safe(spec.params.model_dump())}
