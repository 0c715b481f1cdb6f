"""The level of the vacuum taken off every image: the median of a frame along its edges."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from benchsuite.contract.algorithm import Context
from benchsuite.contract.preprocessing import Preprocessing
from benchsuite.data import Preprocessed, TiltSeries
from benchsuite.params import Params, Positive


class BackgroundParams(Params):
    frame_A: Positive = Field(2.0, description="Width of the frame along the edges, which must contain background only")


class Background(Preprocessing[BackgroundParams]):
    """Extras: `background` (n_tilt, n_focus), what was taken off."""

    Params: ClassVar[type[Params]] = BackgroundParams
    title = "Background subtraction: the median along the edges of each image"
    reference = "Yang et al., Nature 592 (2021) 60, doi:10.1038/s41586-021-03354-0 (background subtraction in ADF tomography)"

    def preprocess(self, series: TiltSeries, context: Context) -> Preprocessed:
        ny, nx = series.data.shape[2:]
        width = min(max(1, round(self.params.frame_A / series.scan_step_A)), (min(ny, nx) + 1) // 2)
        frame = np.ones((ny, nx), dtype=bool)
        frame[width : ny - width, width : nx - width] = False
        level = np.median(series.data[:, :, frame], axis=2)
        data = series.data - level[:, :, None, None].astype(np.float32)
        return Preprocessed(replace(series, data=data), extras={"background": level})
