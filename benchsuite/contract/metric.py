"""A metric comes last: it alone sees the answer together with the truth."""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from ase import Atoms

from benchsuite.contract.plug import P, Plug
from benchsuite.data import Reconstruction, TiltSeries

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


class Metric(Plug[P]):
    """Base of all scores beyond the built-in ones (`analysis.metrics` in a scenario).

    unit: of all its values, empty for numbers without one; the names of the values state it, too (`surface_rmsd_pm`).
    direction: which values are better.
    """

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction]

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


AnyMetric = Metric[Any]
