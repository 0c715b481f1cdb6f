"""The contract between the harness and an algorithm, a step that prepares a series, and a phantom.

A reconstructor is a class with frozen `Params` and one generator. It gets the TiltSeries and a Context, never the ground
truth, and yields an Iterate whenever it has a new estimate; the last one yielded is the answer. The runner owns the loop:
progress, deadline, early stop, the check for non-finite values, the history.

A preparation makes another series of a series, before reconstructors see it: it aligns, denoises, or finds phases.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from ase import Atoms

from benchsuite.backend import DEVICES, Array, module_for, thread_count
from benchsuite.data import Grid, Modality, Prepared, TiltSeries
from benchsuite.params import Params

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


@dataclass(frozen=True)
class Iterate:
    """The state after an iteration. `volume` has the grid's shape and stays on the device; nothing is copied.

    `state`: named arrays from which a reconstruction that was interrupted can go on (`Context.resumed`); empty: it starts again.
    """

    iteration: int
    loss: float | None
    volume: Array | None = None
    atoms: Atoms | None = None
    extras: Mapping[str, Array] = field(default_factory=dict)
    state: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """A prediction: `seconds` on one core of a reference machine, `bytes` of peak memory beyond the interpreter's."""

    seconds: float
    bytes: float


class Algorithm(ABC, Generic[P]):
    """What reconstructors and preparations have in common: frozen parameters, and the series that they take."""

    Params: ClassVar[type[Params]]
    modalities: ClassVar[tuple[Modality, ...]]
    devices: ClassVar[tuple[str, ...]]
    title: ClassVar[str]
    reference: ClassVar[str]

    def __init__(self, params: P | None = None) -> None:
        self.params: P = params if params is not None else self.Params()  # type: ignore[assignment]

    def accepts(self, series: TiltSeries) -> str | None:
        """Return why this series cannot be used (the cell is then skipped with that reason), or None."""
        if series.modality in self.modalities:
            return None
        return f"{type(self).__name__} takes {' or '.join(self.modalities)} series, not {series.modality}"


class Reconstructor(Algorithm[P]):
    """Base of all reconstruction algorithms. Subclasses set the class variables and implement `reconstruct`."""

    modalities: ClassVar[tuple[Modality, ...]] = ("adf",)
    devices: ClassVar[tuple[str, ...]] = DEVICES
    single_view: ClassVar[bool] = False  # whether it takes one untilted view instead of a tilt series, and does not resolve depth
    refines: ClassVar[bool] = False  # whether it can start from the atoms of another one, `Context.start`

    @abstractmethod
    def reconstruct(self, series: TiltSeries, context: Context) -> Iterator[Iterate]:
        """Yield an Iterate per iteration. Must not change `series`, and must not look anywhere else for data."""

    def total_iterations(self) -> int:
        """How many iterates will come at most: for the progress bar."""
        return int(getattr(self.params, "iterations", 1))

    def refined_iterations(self) -> int:
        """The same for one that starts from the atoms of another."""
        return self.total_iterations()

    def cost(self, series_shape: tuple[int, ...], grid: Grid) -> Cost:
        """Predict time and memory for `plan` from the shape of the series' data and the grid.

        The default assumes one pass over voxels × tilts per iteration.
        """
        voxels = float(math.prod(grid.shape))
        return Cost(seconds=1.5e-8 * voxels * series_shape[0] * self.total_iterations(), bytes=10 * 4 * voxels)


class Preparation(Algorithm[P]):
    """Base of all steps that prepare a series (`prepare:` in a scenario). Subclasses set the class variables and `prepare`."""

    modalities: ClassVar[tuple[Modality, ...]] = ("adf", "phase")
    makes: ClassVar[Modality | None] = None  # what comes out; None: what went in
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    libraries: ClassVar[tuple[str, ...]] = ()  # packages whose versions decide the result
    by_tilt: ClassVar[bool] = False  # whether every tilt is prepared by itself: `prepare` then gets series of one tilt

    @abstractmethod
    def prepare(self, series: TiltSeries, context: Context) -> Prepared:
        """Return the prepared series; must not change the one that comes in. Equal seeds give equal results."""

    def cost(self, series_shape: tuple[int, ...], grid: Grid) -> Cost:
        """Predict time and memory from the shape of the series' data (of one tilt, if `by_tilt`) and the grid."""
        pixels = float(math.prod(series_shape))
        return Cost(seconds=1.0 + 1e-7 * pixels, bytes=2e8 + 20 * pixels)

    def prepared_shape(self, series_shape: tuple[int, ...], grid: Grid) -> tuple[int, ...]:
        """Return the shape of what comes out."""
        return series_shape if self.makes is None else (series_shape[0], 1, *grid.shape[1:])


class Phantom(ABC, Generic[P]):
    """Base of all specimens: parameters and a seed in, atoms out (positions in Å about the centre of the box)."""

    Params: ClassVar[type[Params]]
    title: ClassVar[str]
    reference: ClassVar[str]

    def __init__(self, params: P) -> None:
        self.params = params

    def outside_content(self) -> str:
        """Return a hash of whatever is read from outside the parameters (a file), so that a changed file is noticed."""
        return ""

    @abstractmethod
    def build(self, rng: np.random.Generator) -> Atoms:
        """Return the ground truth. Facts worth showing go into `atoms.info` as plain numbers and strings."""


def default_label(name: str) -> str:
    """The name shown in tables for a registered name: acronyms in capitals."""
    return name.upper() if len(name) <= 7 and "_" not in name else name


AnyReconstructor = Reconstructor[Any]
AnyPhantom = Phantom[Any]
AnyPreparation = Preparation[Any]
