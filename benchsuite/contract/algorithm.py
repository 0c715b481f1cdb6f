"""What reconstructors and preprocessing steps share: parameters, the series that they take, and the context that they work in."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import ClassVar, Generic, TypeVar

import numpy as np
from ase import Atoms

from benchsuite.data import Grid, Modality, TiltSeries
from benchsuite.params import Params
from benchsuite.physics.backend import module_for, thread_count

P = TypeVar("P", bound=Params)


@dataclass(frozen=True)
class Context:
    """Where and on which grid to reconstruct. `rng` is seeded by the runner; equal seeds give equal results.

    `resumed` is the `state` of an earlier Iterate of the same reconstruction, which was interrupted: go on behind it. `start` are
    traced atoms of another reconstruction of the same specimen, which this one is asked to refine.
    """

    grid: Grid
    rng: np.random.Generator
    device: str = "cpu"
    resumed: Mapping[str, np.ndarray] | None = None
    start: Atoms | None = None

    @property
    def xp(self) -> ModuleType:
        """numpy or cupy."""
        return module_for(self.device)

    @property
    def threads(self) -> int:
        return thread_count()


class Algorithm(ABC, Generic[P]):
    """What reconstructors and preprocessing steps have in common: frozen parameters, and the series that they take."""

    Params: ClassVar[type[Params]]
    modalities: ClassVar[tuple[Modality, ...]]
    devices: ClassVar[tuple[str, ...]]
    title: ClassVar[str]
    reference: ClassVar[str]

    def __init__(self, params: P | None = None) -> None:
        self.params: P = params if params is not None else self.Params()  # type: ignore[assignment]

    def takes(self) -> tuple[Modality, ...]:
        """Return the kinds of series that it takes with these parameters; those of the class, unless a parameter decides."""
        return self.modalities

    def accepts(self, series: TiltSeries) -> str | None:
        """Return why this series cannot be used (the cell is then skipped with that reason), or None."""
        if series.modality in self.takes():
            return None
        return f"{type(self).__name__} takes {' or '.join(self.takes())} series, not {series.modality}"
