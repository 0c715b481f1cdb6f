"""Denoising of projections: non-local means, or BM3D where the user has installed it.

Every pixel becomes a mean of pixels whose surroundings look alike. Noise that grows with the signal is made uniform first:
counts N of ADF images by Anscombe's 2√(N + 3/8), and back by its exact unbiased inverse. That of phases is taken to be uniform.

A. Buades, B. Coll, J.-M. Morel, Multiscale Model. Simul. 4 (2005) 490, doi:10.1137/040616024 (non-local means).
M. Mäkitalo, A. Foi, IEEE Trans. Image Process. 20 (2011) 99, doi:10.1109/TIP.2010.2056693 (the inverse, closed form).
K. Dabov et al., IEEE Trans. Image Process. 16 (2007) 2080, doi:10.1109/TIP.2007.901238 (BM3D, in Romanov et al. 2025).
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from benchsuite.contract.algorithm import Context
from benchsuite.contract.plug import Cost
from benchsuite.contract.preprocessing import Preprocessing
from benchsuite.data import Grid, Preprocessed, TiltSeries
from benchsuite.params import Params, Positive
from benchsuite.reconstructors.costs import PATCH_S

MAD_PER_SIGMA = 0.6745  # median of |x| of a standard normal variable
COUNT_TOLERANCE, RELATIVE_COUNT_TOLERANCE = 1e-3, 1e-5  # how far counts may be from whole numbers, in single precision


class DenoiseParams(Params):
    method: Literal["nlm", "bm3d"] = Field("nlm", description="Non-local means, or bm3d with the package of that name")
    strength: Positive = Field(0.8, description="Filter strength in units of the estimated noise of each image")
    patch_A: Positive = Field(1.6, description="Side of the patches that are compared")
    search_A: Positive = Field(4.0, description="Search distance for similar patches")


class Denoise(Preprocessing[DenoiseParams]):
    """Extras: `noise` (n_tilt, n_focus), the standard deviation found, in the units of the data; of stabilised counts it is 1."""

    Params: ClassVar[type[Params]] = DenoiseParams
    by_tilt = True
    libraries = ("scikit-image",)
    title = "Denoising by non-local means (or BM3D), variance-stabilised"
    reference = "Buades et al., Multiscale Model. Simul. 4 (2005) 490, doi:10.1137/040616024"

    def accepts(self, series: TiltSeries) -> str | None:
        if self.params.method == "bm3d" and importlib.util.find_spec("bm3d") is None:
            return (
                "denoise: method bm3d needs the package bm3d, which is not installed (its licence is not free); or use method: nlm"
            )
        refusal = super().accepts(series)
        if refusal is None and series.modality == "adf" and not are_counts(series):
            refusal = "denoise needs counts where images have a dose: let it come before steps that change them"
        return refusal

    def preprocess(self, series: TiltSeries, context: Context) -> Preprocessed:
        electrons = series.electrons_per_position if series.modality == "adf" else math.inf
        data, noise = np.empty_like(series.data), np.zeros(series.data.shape[:2])
        for place in np.ndindex(*noise.shape):
            stable = stabilised(series.data[place], electrons)
            noise[place] = found = 1.0 if math.isfinite(electrons) else noise_of(stable)
            smooth = self._smoothed(stable, found, series.scan_step_A) if found > 0 else stable
            data[place] = restored(smooth, electrons)
        remark = "" if noise.all() else "denoise: no noise was found, and nothing changed"
        return Preprocessed(replace(series, data=data), extras={"noise": noise}, remark=remark)

    def _smoothed(self, image: np.ndarray, noise: float, pixel_A: float) -> np.ndarray:
        p = self.params
        if p.method == "bm3d":
            import bm3d

            return np.asarray(bm3d.bm3d(image, p.strength * noise))
        from skimage.restoration import denoise_nl_means

        patch, search = 2 * round(p.patch_A / pixel_A / 2) + 1, max(1, round(p.search_A / pixel_A))
        return denoise_nl_means(image, patch_size=patch, patch_distance=search, h=p.strength * noise, sigma=noise, fast_mode=True)

    def cost(self, series_shape: tuple[int, ...], grid: Grid) -> Cost:
        pixels = float(math.prod(series_shape))
        window = (2 * self.params.search_A / grid.voxel_A + 1) ** 2
        return Cost(1.0 + PATCH_S * pixels * window, 3e8 + 60 * pixels)


def are_counts(series: TiltSeries) -> bool:
    """Whether images with a dose are whole numbers of electrons; True where there is no dose."""
    electrons = series.electrons_per_position
    if not math.isfinite(electrons):
        return True
    counts = np.asarray(series.data, dtype=np.float64) * electrons
    tolerance = COUNT_TOLERANCE + RELATIVE_COUNT_TOLERANCE * np.abs(counts)
    return bool((np.abs(counts - np.rint(counts)) <= tolerance).all() and counts.min() >= 0)


def stabilised(image: np.ndarray, electrons: float) -> np.ndarray:
    """Return an image (ny, nx), float64, in which the noise is uniform: Anscombe's transform of counts, where there are counts."""
    image = image.astype(np.float64)
    return 2 * np.sqrt(np.maximum(image * electrons, 0) + 3 / 8) if math.isfinite(electrons) else image


def restored(image: np.ndarray, electrons: float) -> np.ndarray:
    """Return the image behind a denoised `stabilised` one, float32: the closed form of the exact unbiased inverse."""
    if not math.isfinite(electrons):
        return image.astype(np.float32)
    d = np.maximum(image, 2 * math.sqrt(3 / 8))
    counts = d**2 / 4 + math.sqrt(3 / 2) / 4 / d - 11 / 8 / d**2 + 5 / 8 * math.sqrt(3 / 2) / d**3 - 1 / 8
    return (np.maximum(counts, 0) / electrons).astype(np.float32)


def noise_of(image: np.ndarray) -> float:
    """Return the standard deviation of white noise in an image (ny, nx), from the finest diagonal differences.

    D. Donoho, I. Johnstone, Biometrika 81 (1994) 425, doi:10.1093/biomet/81.3.425 (median of the finest Haar coefficients).
    """
    even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
    diagonal = (even[::2, ::2] - even[1::2, ::2] - even[::2, 1::2] + even[1::2, 1::2]) / 2
    return float(np.median(np.abs(diagonal)) / MAD_PER_SIGMA)
