"""What a stage is: inputs and code that give its key, upstream stages, and a way to make its files."""

from __future__ import annotations

import functools
import importlib.metadata
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from benchsuite.code_version import code_version
from benchsuite.contract.cost import Cost
from benchsuite.runner.checkpoints import Checkpoints
from benchsuite.store import Key, Store

Notify = Callable[..., None]


version = functools.cache(importlib.metadata.version)


def silent(**_event: Any) -> None:
    """A listener that ignores every event."""


@dataclass(frozen=True)
class Bench:
    """What a stage works with besides its sources: somebody who listens, and a place to go on from after an interruption."""

    notify: Notify = silent
    checkpoints: Checkpoints | None = None


_T = TypeVar("_T", bound="Stage")
_R = TypeVar("_R")


def once(method: Callable[[_T], _R]) -> Callable[[_T], _R]:
    """Let a method without arguments be called once per object: the stages that it returns keep their keys."""
    name = f"_once_{method.__name__}"

    @functools.wraps(method)
    def answer(self: _T) -> _R:
        if name not in self.__dict__:
            self.__dict__[name] = method(self)
        return self.__dict__[name]

    return answer


class Stage(ABC):
    """One step of the flow. Subclasses are frozen dataclasses; equal stages have equal keys."""

    name: ClassVar[str]

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


def ensure(store: Store, stage: Stage, notify: Notify = silent, verified: dict[str, Path] | None = None) -> Path:
    """Return the verified folder of a stage, making it and whatever it needs first. Damaged entries are made again.

    `verified`: folders by key that were verified before, and are not again; those found are added.
    """
    verified = {} if verified is None else verified
    folder = verified.get(str(stage.key)) or store.open(stage.key)
    if folder is not None:
        verified[str(stage.key)] = folder
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
        notify(event="made", stage=stage.name, seconds=time.perf_counter() - started)
    return store.path(stage.key)
