"""A phantom: parameters and a seed in, the true atoms out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from ase import Atoms

from benchsuite.params import Params

P = TypeVar("P", bound=Params)


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


AnyPhantom = Phantom[Any]
