"""half_series, half_reconstruction: every second tilt by itself, for a Fourier shell correlation without a truth.

Both halves go through the same reconstructor, with the same parameters, on the same grid. Preprocessing comes before the series
is halved: alignments and denoising are shared, as they are where fields with more tilts use this criterion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.contract.cost import Cost
from benchsuite.data import Modality
from benchsuite.physics.rotations import vector_from_rotation
from benchsuite.runner.loop import CellFailure
from benchsuite.runner.stages.base import Bench, Stage
from benchsuite.runner.stages.preprocessing import PreprocessingStage
from benchsuite.runner.stages.reconstruction import ReconstructionStage
from benchsuite.runner.stages.series import SeriesStage
from benchsuite.storage import SERIES, load_series, save_series

HALVES = ("even", "odd")
FEWEST = 4  # tilts that can be halved


@dataclass(frozen=True)
class HalfSeriesStage(Stage):
    """Half of the tilts of a series, counted in the order of their angles, with half of its dose."""

    name = "half_series"

    whole: SeriesStage | PreprocessingStage
    half: int

    @property
    def modality(self) -> Modality:
        return self.whole.modality

    def inputs(self) -> Mapping[str, Any]:
        return {"half": self.half}

    def upstream(self) -> Sequence[Stage]:
        return (self.whole,)

    def shape(self) -> tuple[int, ...]:
        """The shape of the data."""
        tilts, *rest = self.whole.shape()
        return ((tilts + 1 - self.half) // 2, *rest)

    def cost(self) -> Cost:
        return Cost(0.2 + 1e-8 * float(np.prod(self.shape())), 2e8 + 8 * float(np.prod(self.shape()[1:])))

    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        series = load_series(sources[0] / SERIES)
        chosen = np.sort(tilt_order(series.rotations)[self.half :: 2])
        half = replace(
            series,
            data=np.broadcast_to(np.float32(0), (len(chosen), *series.data.shape[1:])),
            rotations=series.rotations[chosen],
            dose_e_per_A2=series.dose_e_per_A2 * len(chosen) / len(series.data),
        )
        save_series(folder / SERIES, (series.data[int(tilt)] for tilt in chosen), half)


@dataclass(frozen=True)
class HalfReconstructionStage(ReconstructionStage):
    """The reconstruction of half of the tilts."""

    name = "half_reconstruction"

    half: int = 0

    def halved(self) -> HalfSeriesStage:
        """The series that it is given."""
        return HalfSeriesStage(super().given(), self.half)

    def upstream(self) -> Sequence[Stage]:
        return (self.halved(),)

    def cost(self) -> Cost:
        return self.algorithm().cost(self.halved().shape(), self.grid())

    def make(self, folder: Path, sources: Sequence[Path], bench: Bench) -> None:
        try:
            super().make(folder, sources, bench)
        except CellFailure as failure:
            reason = f"of the {HALVES[self.half]} tilts alone (analysis.half_sets): {failure.reason}"
            raise CellFailure(failure.status, reason) from failure


def half_reconstructions(whole: ReconstructionStage) -> tuple[HalfReconstructionStage, ...]:
    """Return both halves of a reconstruction, or none where it is not asked for them, or has none.

    There are none of a single view, of fewer than four tilts, of a method that answers with atoms instead of a volume, and of
    a refinement, whose halves would start from the same atoms.
    """
    measured, wanted = whole.cell.experiment.measured, whole.cell.experiment.analysis.half_sets
    if wanted is None:
        wanted = measured is not None and measured.truth is None
    algorithm = whole.algorithm()
    if not wanted or algorithm.single_view or algorithm.refines or whole.cell.initial is not None:
        return ()
    if whole.given().shape()[0] < FEWEST:
        return ()
    return tuple(HalfReconstructionStage(whole.cell, whole.device, half, recorded=whole.recorded) for half in range(2))


def tilt_order(rotations: np.ndarray) -> np.ndarray:
    """Return the order (n,) of rotations (n, 3, 3) by their angle about the axis that they have most in common."""
    middle = rotations[len(rotations) // 2]
    vectors = np.stack([vector_from_rotation(one @ middle.T) for one in rotations])
    axis = np.linalg.svd(vectors, full_matrices=False)[2][0]
    return np.argsort(vectors @ axis, kind="stable")
