"""half_series: every second tilt by itself, for a Fourier shell correlation without a truth.

Both halves go through the same reconstructor, with the same parameters, on the same grid. Preprocessing comes before the series
is halved: alignments and denoising are shared, as they are where fields with more tilts use this criterion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchsuite.contract.plug import Cost
from benchsuite.data import Modality
from benchsuite.physics.rotations import vector_from_rotation
from benchsuite.runner.stages.base import Bench, SeriesSource, Stage
from benchsuite.storage import SERIES, load_series, save_series

HALVES = ("even", "odd")
MIN_TILTS = 4  # that can be halved


@dataclass(frozen=True, eq=False)
class HalfSeriesStage(SeriesSource):
    """Half of the tilts of a series, counted in the order of their angles, with half of its dose."""

    name = "half_series"

    whole: SeriesSource
    half: int

    @property
    def modality(self) -> Modality:
        return self.whole.modality

    @property
    def history(self) -> tuple[SeriesSource, ...]:
        return (*self.whole.history, self)

    @property
    def part(self) -> str:
        return f"of the {HALVES[self.half]} tilts alone (analysis.half_sets): "

    def inputs(self) -> Mapping[str, Any]:
        return {"half": self.half}

    def upstream(self) -> Sequence[Stage]:
        return (self.whole,)

    def shape(self) -> tuple[int, ...]:
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


def tilt_order(rotations: np.ndarray) -> np.ndarray:
    """Return the order (n,) of rotations (n, 3, 3) by their angle about the axis that they have most in common."""
    middle = rotations[len(rotations) // 2]
    vectors = np.stack([vector_from_rotation(one @ middle.T) for one in rotations])
    axis = np.linalg.svd(vectors, full_matrices=False)[2][0]
    return np.argsort(vectors @ axis, kind="stable")
