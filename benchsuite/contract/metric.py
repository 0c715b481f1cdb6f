"""A metric comes last: it alone sees the answer together with the ground truth. It declares the columns that it fills."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from ase import Atoms

from benchsuite.columns import Column, Columns, Direction
from benchsuite.contract.plug import P, Plug
from benchsuite.data import Grid, Preprocessed, Reconstruction, TiltSeries, Volume

SUFFIXES = {"pm": "_pm", "Å": "_A", "nm": "_nm", "%": "_pct", "°": "_deg", "pixels": "_px", "s": "_s", "MB": "_mb", "1/Å": "_per_A"}
NO_PAIRS = np.empty((0, 2), dtype=int)


@dataclass(frozen=True, kw_only=True)
class Matched:
    """Traced atoms beside the true ones.

    truth: the true atoms of the particle, with the arrays `outcome` (found, misclassified, missing) and `displacement_A` (nan where
        missing). None without a truth, and for single views, whose slices are too thick for atoms.
    traced: the traced atoms in the frame of the truth, that is, with their common shift (or rigid motion) removed, with `outcome`
        (true, false_class, false_positive, non_atom; traced where there is no truth) and `displacement_A`. Non-atoms have the
        symbol "X". None for single views.
    pairs: (n, 2) int, one to one: truth[pairs[k, 0]] was found as traced[pairs[k, 1]]; (0, 2) without truth.
    cutoff_A: the distance beyond which no traced atom was taken for a true one; nan without truth.
    rotation, shift_A: the common motion: a traced atom found at p stands at rotation p − shift_A.
    positions_found: (n, 3), where the traced atoms were found, in the frame of the reconstruction.
    """

    truth: Atoms | None
    traced: Atoms | None
    pairs: np.ndarray = field(default_factory=lambda: NO_PAIRS)
    cutoff_A: float = math.nan
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))
    shift_A: np.ndarray = field(default_factory=lambda: np.zeros(3))
    positions_found: np.ndarray = field(default_factory=lambda: np.empty((0, 3)))

    @property
    def distance_A(self) -> np.ndarray:
        """(n,) distances of the pairs."""
        return np.empty(0) if self.truth is None else self.truth.arrays["displacement_A"][self.pairs[:, 0]]

    def in_volume(self, positions: np.ndarray) -> np.ndarray:
        """Return where positions (n, 3) in Å of the truth's frame lie in that of the reconstruction."""
        return (np.asarray(positions) + self.shift_A) @ self.rotation


@dataclass(frozen=True)
class Motion:
    """True rotations (n_tilt, 3, 3) and drifts (n_tilt, n_focus, 2) = (x, y) in Å of a simulated series."""

    rotations: np.ndarray
    drift_A: np.ndarray


@dataclass(frozen=True)
class Placement:
    """How a truth whose file has a frame of its own lies among the traced atoms: true positions r at rotation r + shift_A.

    fit, mirrored_fit: from 0 to 1, of the truth and of its mirror image. rotation and shift_A are None where it fits nowhere.
    """

    fit: float
    mirrored_fit: float
    rotation: np.ndarray | None = None
    shift_A: np.ndarray | None = None

    def applied(self, specimen: Atoms) -> Atoms | None:
        """Return the specimen in the frame of the traced atoms; None where it fits nowhere."""
        if self.rotation is None or self.shift_A is None:
            return None
        moved = specimen.copy()
        moved.positions = specimen.positions @ self.rotation.T + self.shift_A
        return moved


@dataclass(frozen=True, kw_only=True)
class Scored(Matched):
    """What a metric may see of a cell; None or empty for what there is not. None of it may be changed.

    reconstruction: the answer, in its own frame; its volume is None where the method answers with atoms, its slices are None unless
        it takes single views.
    grid: the grid that the reconstruction was asked for.
    series: what the reconstructor was given; preprocessed, where there are steps before it.
    recorded: the series as the microscope recorded it, before any steps; the same as `series` where there are none. Of a method for
        images these are the virtual images of a 4D-STEM scan.
    specimen: the true specimen, with its substrate; of single views, too.
    preprocessed: what the steps of `preprocess:` made of the recorded series, one after the other.
    motion: true rotations and drifts; None where the series was not simulated.
    placement: how a truth of unknown frame was placed; None where its frame is known.
    halves: reconstructions of every second tilt (`analysis.half_sets`), two or none.
    """

    reconstruction: Reconstruction
    grid: Grid
    series: TiltSeries
    recorded: TiltSeries
    specimen: Atoms | None = None
    preprocessed: tuple[Preprocessed, ...] = ()
    motion: Motion | None = None
    placement: Placement | None = None
    halves: tuple[Reconstruction, ...] = ()

    @property
    def volume(self) -> Volume | None:
        """The volume of a tilt series; None of single views and of answers that are lists of atoms."""
        return None if self.traced is None else self.reconstruction.volume


@dataclass(frozen=True)
class Scores:
    """values: by the name of their column in results.csv; nan where there is nothing to measure. curves: arrays for figures."""

    values: Mapping[str, float]
    curves: Mapping[str, np.ndarray] = field(default_factory=dict)


class Metric(Plug[P]):
    """Base of everything that gives scores.

    columns: what `measure` fills. A metric with a single one may leave them out: the column is then named after the class and the
        unit, and has its title, unit and direction.
    default: whether it is measured in every run, or only where a scenario asks for it (`analysis.metrics`).
    order: where its columns stand in tables, among those of other metrics.
    """

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = "neither"
    columns: ClassVar[tuple[Column, ...]] = ()
    default: ClassVar[bool] = False
    order: ClassVar[int] = 50

    @classmethod
    def declared(cls) -> tuple[Column, ...]:
        """Return the columns, or the one that follows from title, unit and direction."""
        name = f"{cls.__name__.lower()}{SUFFIXES.get(cls.unit, '')}"
        return cls.columns or (Column(name, cls.title, cls.unit, cls.direction),)

    @abstractmethod
    def measure(self, scored: Scored) -> float | Mapping[str, float] | Scores:
        """Return the value of the one column, or values by the name of their column, or these with curves.

        Columns for which there is nothing to measure are nan, or left out.
        """

    def checked(self, answer: Any) -> Scores:
        """Return what `measure` answered in its full form. Raises ValueError where it is not what the columns declare."""
        declared = Columns(self.declared())
        if isinstance(answer, Real) and len(declared.declared) == 1:
            answer = {declared.declared[0].name: answer}
        found = answer if isinstance(answer, Scores) else Scores(answer)
        if not isinstance(found.values, Mapping):
            raise ValueError(f"measure() returned {type(answer).__name__} instead of {{name: value}}")
        for name, value in found.values.items():
            if not isinstance(name, str) or "<" in name or declared.get(name) is None:
                raise ValueError(f"{name!r} is none of its columns: {', '.join(column.name for column in declared)}")
            if not isinstance(value, Real) or isinstance(value, bool):
                raise ValueError(f"{name} is {value!r}, not a number")
            if math.isinf(value):
                raise ValueError(f"{name} is {value}; nan stands for nothing to measure")
        return found


AnyMetric = Metric[Any]
