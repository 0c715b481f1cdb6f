"""What a stage is: inputs and code that give its key, upstream stages, and a way to make its files."""

from __future__ import annotations

import functools
import importlib.metadata
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ase import Atoms

from benchsuite.code_version import code_version
from benchsuite.contract.plug import Cost
from benchsuite.data import Modality
from benchsuite.runner.checkpoints import Checkpoints
from benchsuite.store import Key, Store

Notify = Callable[..., None]


version = functools.cache(importlib.metadata.version)


def silent(**_event: Any) -> None:
    """A listener that ignores every event."""


@dataclass(frozen=True)
class Bench:
    """What a stage works with besides its sources: a listener, and the checkpoints to resume from after an interruption."""

    notify: Notify = silent
    checkpoints: Checkpoints | None = None


class Stage(ABC):
    """One step of the graph. Subclasses are frozen dataclasses without equality (eq=False); equal keys mean equal results."""

    name: ClassVar[str]
    shared: ClassVar[bool] = False  # made by a task of its own, for all cells that need it; otherwise by the task of its cell
    per_tilt: ClassVar[bool] = False  # one of many: the tilts of a series are dealt to the workers in shares
    simulates: ClassVar[bool] = False  # its worker needs the simulation packages

    @abstractmethod
    def inputs(self) -> Mapping[str, Any]:
        """Return the resolved parameters that the result depends on, JSON-able."""

    @abstractmethod
    def upstream(self) -> Sequence[Stage]:
        """Return the stages whose results this one reads."""

    @abstractmethod
    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        """Fill the folder from the folders of the upstream stages."""

    @property
    def libraries(self) -> tuple[str, ...]:
        """The packages whose versions decide the result."""
        return ()

    def code(self) -> dict[str, str]:
        """Return the version of the code that makes this stage."""
        return code_version([type(self).__module__])

    def cost(self) -> Cost:
        """Predict time and memory of `make` (one core of the reference machine)."""
        return Cost(seconds=0.1, bytes=5e7)

    @functools.cached_property
    def key(self) -> Key:
        """The content key. Computed once per object."""
        inputs = {"parameters": self.inputs(), "libraries": {name: version(name) for name in self.libraries}}
        return Key.of(self.name, inputs, [stage.key for stage in self.upstream()], self.code())


class SeriesSource(Stage):
    """A stage that leaves a tilt series: recorded, read from files, preprocessed, or halved."""

    if TYPE_CHECKING:  # a field of some subclasses, which a property here would shadow

        @property
        def modality(self) -> Modality: ...

    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Return the shape of the data."""

    @property
    def history(self) -> tuple[SeriesSource, ...]:
        """The stages from the recorded series to this one."""
        return (self,)

    @property
    def recorded(self) -> SeriesSource:
        """The series as the microscope recorded it."""
        return self.history[0]

    @property
    def part(self) -> str:
        """Which part of the recorded tilts it holds, for messages; empty: all of them."""
        return ""


class AtomsSource(Stage):
    """A stage that leaves atoms from which a reconstruction can start."""

    @abstractmethod
    def initial_model(self, folder: Path) -> Atoms:
        """Return the atoms of a stored result, without peaks that were classified as no atoms."""


def ensure(store: Store, stage: Stage, notify: Notify = silent, verified: dict[Key, Path] | None = None) -> Path:
    """Return the verified folder of a stage, making it and whatever it needs first. Damaged entries are made again.

    `verified`: folders by key that were verified before, and are not again; those found are added.
    """
    verified = {} if verified is None else verified
    folder = verified.get(stage.key) or store.open(stage.key)
    if folder is not None:
        verified[stage.key] = folder
        return folder
    sources = [ensure(store, source, notify, verified) for source in stage.upstream()]
    waiting = functools.partial(notify, event="stage", stage=f"waiting for another run's {stage.name}")
    with store.making(stage.key, waiting):
        if (folder := store.open(stage.key)) is not None:  # another run has made it meanwhile
            return folder
        notify(event="stage", stage=stage.name)
        started = time.perf_counter()
        about: dict[str, Any] = {"stage": stage.name, "inputs": stage.inputs(), "code": stage.code()}
        about["upstream"] = [str(source.key) for source in stage.upstream()]
        with store.writing(stage.key, about) as temporary:
            stage.make(temporary, sources, Bench(notify, Checkpoints(store, stage.key)))
        notify(event="made", stage=stage.name, per_tilt=stage.per_tilt, seconds=time.perf_counter() - started)
    return store.path(stage.key)
