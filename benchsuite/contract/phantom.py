"""A phantom: parameters and a seed in, the true atoms out."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from ase import Atoms

from benchsuite.contract.plug import P, Plug


class Phantom(Plug[P]):
    """Base of all specimens: parameters and a seed in, atoms out (positions in Å about the centre of the box)."""

    def outside_content(self) -> str:
        """Return a hash of whatever is read from outside the parameters (a file), so that a changed file is noticed."""
        return ""

    @abstractmethod
    def build(self, rng: np.random.Generator) -> Atoms:
        """Return the ground truth. Facts worth showing go into `atoms.info` as plain numbers and strings."""


AnyPhantom = Phantom[Any]
