"""A task: a few stages of one cell that one worker process makes, and its form on the wire (JSON)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from benchsuite import registry
from benchsuite.runner.stages import ImageStage, Stage, ensure, flow
from benchsuite.scenario import Cell
from benchsuite.store import Store


@dataclass(frozen=True)
class Task:
    """What to make: `kind` phantom, images (the given tilts), series, preprocessed_tilts (the given tilts of a step),
    preprocessed (the step), atoms (reconstruct, trace, classify) or scores (with the metrics).
    """

    kind: str
    cell: Cell
    store: str
    device: str = "cpu"
    tilts: tuple[int, ...] = ()
    plugins: tuple[str, ...] = ()
    step: int = 0

    def stages(self) -> Sequence[Stage]:
        """Return the stages whose results the task leaves in the store."""
        made = flow(self.cell, self.device)
        if self.kind == "images":
            return [ImageStage(self.cell.experiment, self.cell.repeat, tilt) for tilt in self.tilts]
        if self.kind == "preprocessed_tilts":
            every = made.preprocessed[self.step].tilts()
            return [every[tilt] for tilt in self.tilts]
        if self.kind == "preprocessed":
            return [made.preprocessed[self.step]]
        if self.kind == "scores":
            return made.last()
        if self.kind == "phantom":
            return [made.phantom] if made.phantom is not None else []
        return [{"series": made.series, "atoms": made.atoms}[self.kind]]

    def work(self, notify: Callable[..., None]) -> None:
        """Make every stage that is not in the store yet."""
        store, verified = Store(self.store), dict[str, Path]()
        for stage in self.stages():
            ensure(store, stage, notify, verified)

    def to_json(self) -> dict[str, Any]:
        """Return the task as plain JSON-able values."""
        return {**vars(self), "cell": self.cell.model_dump(mode="json"), "tilts": list(self.tilts), "plugins": list(self.plugins)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Task:
        """Return the task that `to_json` described, after loading its plugins."""
        for plugin in data["plugins"]:
            registry.load_plugin(plugin)
        fields = {**data, "cell": Cell.model_validate_json(to_json(data["cell"], inf_nan_mode="constants"))}
        return cls(**{**fields, "tilts": tuple(data["tilts"]), "plugins": tuple(data["plugins"])})
