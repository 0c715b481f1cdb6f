"""A preprocessing step makes another series of a series, before reconstructors see it: it aligns, denoises, or finds phases."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar

from benchsuite.contract.algorithm import Algorithm, Context, P
from benchsuite.contract.plug import Cost
from benchsuite.data import Grid, Modality, Preprocessed, TiltSeries


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


AnyPreprocessing = Preprocessing[Any]
