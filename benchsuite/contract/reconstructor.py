"""A reconstructor: a class with frozen `Params` and one generator.

It gets the TiltSeries and a Context, never the ground truth, and yields an Iterate whenever it has a new estimate; the last one
yielded is the answer. The runner owns the loop: progress, deadline, early stop, the check for non-finite values, the history.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ase import Atoms

from benchsuite.contract.algorithm import Algorithm, Context, P
from benchsuite.contract.plug import Cost
from benchsuite.data import Fit, Grid, Modality, Slices, TiltSeries
from benchsuite.physics.backend import DEVICES, Array


@dataclass(frozen=True)
class Iterate:
    """The state after an iteration. `volume` has the grid's shape and stays on the device; nothing is copied.

    slices: required of methods for single views (`single_view`), and of no others.
    fit: how the estimate describes the data; the last iterate should say what it can.
    extras: named arrays for figures and metrics of a user's own; the harness and the built-in scores never read them.
    state: named arrays from which a reconstruction that was interrupted can go on (`Context.resumed`); empty: it starts again.
    """

    iteration: int
    loss: float | None
    volume: Array | None = None
    atoms: Atoms | None = None
    slices: Slices | None = None
    fit: Fit = field(default_factory=Fit)
    extras: Mapping[str, Array] = field(default_factory=dict)
    state: Mapping[str, Array] = field(default_factory=dict)


class Reconstructor(Algorithm[P]):
    """Base of all reconstruction algorithms. Subclasses set the class variables and implement `reconstruct`."""

    modalities: ClassVar[tuple[Modality, ...]] = ("adf",)
    devices: ClassVar[tuple[str, ...]] = DEVICES
    single_view: ClassVar[bool] = False  # it takes one untilted view and answers with `slices`, of which no atoms are scored
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


AnyReconstructor = Reconstructor[Any]
