"""Fourier sparsity: of a crystal, few frequencies hold the image, and noise is in all of them.

Every coefficient of the image's Fourier transform is compared with the median of those of about its own frequency, which is noise
where few of them are signal; what does not exceed it `threshold` times is set to zero. Frequencies of the shape (below
`keep_below_per_A`) stay.

A constraint of Romanov et al., J. Phys. Mater. 8 (2025) 015005, sec. 2.2; hard thresholds: D. Donoho, I. Johnstone,
Biometrika 81 (1994) 425, doi:10.1093/biomet/81.3.425.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import scipy.fft
from pydantic import Field

from benchsuite.contract.algorithm import Context
from benchsuite.contract.preprocessing import Preprocessing
from benchsuite.data import Preprocessed, TiltSeries
from benchsuite.params import NonNegative, Params, Positive


class SparsityParams(Params):
    threshold: Positive = Field(2.0, description="Threshold of a coefficient's modulus, in medians of its frequency ring")
    keep_below_per_A: NonNegative = Field(0.15, description="Spatial frequency in 1/Å below which coefficients are kept")


class Sparsity(Preprocessing[SparsityParams]):
    """Extras: `kept` (n_tilt,), the fraction of coefficients that stay."""

    Params: ClassVar[type[Params]] = SparsityParams
    title = "Fourier sparsity: weak coefficients of the projections set to zero"
    reference = "Romanov et al., J. Phys. Mater. 8 (2025) 015005"

    def preprocess(self, series: TiltSeries, context: Context) -> Preprocessed:
        data, kept = np.empty_like(series.data), np.zeros(len(series.data))
        for tilt, images in enumerate(series.data):
            for focus, image in enumerate(images):
                data[tilt, focus], share = self._sparse(image, series.scan_step_A)
                kept[tilt] += share / len(images)
        return Preprocessed(replace(series, data=data), extras={"kept": kept})

    def _sparse(self, image: np.ndarray, pixel_A: float) -> tuple[np.ndarray, float]:
        spectrum = scipy.fft.rfft2(image.astype(np.float64))
        ny, nx = image.shape
        radius = np.hypot(np.fft.fftfreq(ny)[:, None], np.fft.rfftfreq(nx)) * max(ny, nx)
        ring = np.rint(radius).astype(int)
        modulus = np.abs(spectrum)
        typical = np.array([np.median(modulus[ring == number]) for number in range(ring.max() + 1)])
        stays = (modulus >= self.params.threshold * typical[ring]) | (
            radius <= self.params.keep_below_per_A * max(ny, nx) * pixel_A
        )
        return scipy.fft.irfft2(np.where(stays, spectrum, 0), s=image.shape).astype(np.float32), float(stays.mean())
