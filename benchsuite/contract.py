"""The contract between the harness and an algorithm, a step that preprocesses a series, a phantom, and a metric.

A reconstructor is a class with frozen `Params` and one generator. It gets the TiltSeries and a Context, never the ground
truth, and yields an Iterate whenever it has a new estimate; the last one yielded is the answer. The runner owns the loop:
progress, deadline, early stop, the check for non-finite values, the history.

A preprocessing makes another series of a series, before reconstructors see it: it aligns, denoises, or finds phases.
A metric comes last: it alone sees the answer together with the truth.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Real
from types import ModuleType
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args

import numpy as np
from ase import Atoms

from benchsuite.data import Grid, Modality, Preprocessed, Reconstruction, TiltSeries
from benchsuite.params import Params
from benchsuite.physics.backend import DEVICES, Array, module_for, thread_count

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


class Preprocessing(Algorithm[P]):
    """Base of all preprocessing steps (`preprocess:` in a scenario). Subclasses set the class variables and `preprocess`."""

    modalities: ClassVar[tuple[Modality, ...]] = ("adf", "phase")
    makes: ClassVar[Modality | None] = None  # what comes out; None: what went in
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    libraries: ClassVar[tuple[str, ...]] = ()  # packages whose versions decide the result
    by_tilt: ClassVar[bool] = False  # whether every tilt is preprocessed by itself: `preprocess` then gets series of one tilt

    @abstractmethod
    def preprocess(self, series: TiltSeries, context: Context) -> Preprocessed:
        """Return the preprocessed series; must not change the one that comes in. Equal seeds give equal results."""

    def cost(self, series_shape: tuple[int, ...], grid: Grid) -> Cost:
        """Predict time and memory from the shape of the series' data (of one tilt, if `by_tilt`) and the grid."""
        pixels = float(math.prod(series_shape))
        return Cost(seconds=1.0 + 1e-7 * pixels, bytes=2e8 + 20 * pixels)

    def preprocessed_shape(self, series_shape: tuple[int, ...], grid: Grid) -> tuple[int, ...]:
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


Direction = Literal["lower", "higher", "neither"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


@dataclass(frozen=True)
class Scored:
    """What a metric may see of a cell; None for what there is not. None of it may be changed.

    truth: the true atoms of the particle, with the array `outcome` (found, misclassified, missing). None for series without a
        truth, and for single views, whose slices are too thick for atoms.
    traced: the traced atoms in the frame of the truth, that is, with their common shift (or rigid motion) removed; with `outcome`
        (true, false_class, false_positive, non_atom) where there is a truth. Non-atoms have the symbol "X".
    pairs: (n, 2) int, one to one: truth[pairs[k, 0]] was found as traced[pairs[k, 1]]; (0, 2) without truth.
    reconstruction: the answer, in its own frame; its volume is None where the method answers with atoms.
    series: what the reconstructor was given; preprocessed, where there are steps before it.
    rotation, shift_A: a traced atom now at p was found at rotationᵀ (p + shift_A).
    recorded: the series as the microscope recorded it, before any steps; the same as `series` where there are none. Of a method for
        images these are the virtual images of a 4D-STEM scan. None where nobody says.
    """

    truth: Atoms | None
    traced: Atoms | None
    pairs: np.ndarray
    reconstruction: Reconstruction
    series: TiltSeries
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))
    shift_A: np.ndarray = field(default_factory=lambda: np.zeros(3))
    recorded: TiltSeries | None = None

    def in_volume(self, positions: np.ndarray) -> np.ndarray:
        """Return where positions (n, 3) in Å of the truth's frame lie in that of the reconstruction."""
        return (np.asarray(positions) + self.shift_A) @ self.rotation


class Metric(ABC, Generic[P]):
    """Base of all scores beyond the built-in ones (`analysis.metrics` in a scenario).

    unit: of all its values, empty for numbers without one; the names of the values state it, too (`surface_rmsd_pm`).
    direction: which values are better.
    """

    Params: ClassVar[type[Params]] = Params
    title: ClassVar[str]
    reference: ClassVar[str]
    unit: ClassVar[str] = ""
    direction: ClassVar[Direction]

    def __init__(self, params: P | None = None) -> None:
        self.params: P = params if params is not None else self.Params()  # type: ignore[assignment]

    @abstractmethod
    def measure(self, scored: Scored) -> Mapping[str, float]:
        """Return values by the name of their column in results.csv; nan where there is nothing to measure."""


def metric_misfit(values: object) -> str | None:
    """Return why an answer is not one of a metric, or None."""
    if not isinstance(values, Mapping):
        return f"measure() returned {type(values).__name__} instead of {{name: value}}"
    for name, value in values.items():
        if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII)):
            return f"{name!r} cannot name a column; use letters, digits and _, such as surface_rmsd_pm"
        if not isinstance(value, Real) or isinstance(value, bool):
            return f"{name} is {value!r}, not a number"
        if math.isinf(value):
            return f"{name} is {value}; nan stands for nothing to measure"
    return None


def default_label(name: str) -> str:
    """The name shown in tables for a registered name: acronyms in capitals."""
    return name.upper() if len(name) <= 7 and "_" not in name else name


AnyReconstructor = Reconstructor[Any]
AnyPhantom = Phantom[Any]
AnyPreprocessing = Preprocessing[Any]
AnyMetric = Metric[Any]
