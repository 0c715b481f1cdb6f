"""What reconstructors and preprocessing steps share: parameters, the series that they take, and the context that they work in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import ClassVar

import numpy as np
from ase import Atoms

from benchsuite.contract.plug import P, Plug
from benchsuite.data import Grid, Modality, TiltSeries
from benchsuite.physics.backend import module_for, thread_count


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


class Algorithm(Plug[P]):
    """What reconstructors and preprocessing steps have in common: the series that they take, and where they run."""

    modalities: ClassVar[tuple[Modality, ...]]
    devices: ClassVar[tuple[str, ...]]

    def takes(self) -> tuple[Modality, ...]:
        """Return the kinds of series that it takes with these parameters; those of the class, unless a parameter decides."""
        return self.modalities

    def accepts(self, series: TiltSeries) -> str | None:
        """Return why this series cannot be used (the cell is then skipped with that reason), or None."""
        if series.modality in self.takes():
            return None
        return f"{type(self).__name__} takes {' or '.join(self.takes())} series, not {series.modality}"
