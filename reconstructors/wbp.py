"""WBP: weighted back-projection with the exact filter for any set of tilts.

Each image's transform is divided by how often the slabs of all images (thickness 1/D for an object of size D) cover the point

    W_t(k) = 1 / Σ_s max(0, 1 − D |k · n_s|),      V = (1/D) Σ_t B_t[ F⁻¹ W_t F b_t ]

with n_s the beam direction of tilt s in the specimen and B the back-projection. For many tilts about one axis it becomes the
ramp. G. Harauz, M. van Heel, Optik 73 (1986) 146; M. Radermacher, in Electron Tomography (1992).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from pydantic import Field

from benchsuite.contract.algorithm import Context
from benchsuite.contract.reconstructor import Iterate, Reconstructor
from benchsuite.data import TiltSeries
from benchsuite.params import Params
from benchsuite.physics.backend import Array, fft_module, fft_threads, get_array_module
from benchsuite.reconstructors.checks import PROJECTIONS, projections, projector_of, reason_to_skip


class WBPParams(Params):
    positivity: bool = Field(False, description="Set negative voxels of the result to zero")
    window: Literal["none", "hann"] = Field("none", description="Radial window that falls to zero at the Nyquist frequency")


class WBP(Reconstructor[WBPParams]):
    Params = WBPParams
    modalities = PROJECTIONS
    title = "WBP: weighted back-projection with the exact filter"
    reference = "Harauz & van Heel, Optik 73 (1986) 146"

    def accepts(self, series: TiltSeries) -> str | None:
        return reason_to_skip("WBP", series)

    def reconstruct(self, series: TiltSeries, context: Context) -> Iterator[Iterate]:
        xp = context.xp
        measured = projections(series, xp)
        shape = (measured.shape[1], measured.shape[2])
        projector = projector_of(series, context)
        size_A = max(context.grid.shape) * context.grid.voxel_A
        weights = exact_filter(series.rotations, shape, series.scan_step_A, size_A)
        if self.params.window == "hann":
            weights = weights * hann(shape)
        filtered = filter_images(measured, xp.asarray(weights))
        volume = projector.adjoint(filtered) / np.float32(projector.weight * size_A)
        if self.params.positivity:
            volume = xp.maximum(volume, 0)
        yield Iterate(1, None, volume=volume)


def exact_filter(rotations: np.ndarray, shape: tuple[int, int], pixel_A: float, size_A: float) -> np.ndarray:
    """Return the weights (n_tilt, ny, nx//2+1) float32 for real transforms of images of `shape`."""
    v = np.fft.fftfreq(shape[0], pixel_A)[:, None]
    u = np.fft.rfftfreq(shape[1], pixel_A)[None, :]
    weights = np.empty((len(rotations), shape[0], shape[1] // 2 + 1), dtype=np.float32)
    beams = rotations[:, 2, :]
    for tilt, matrix in enumerate(rotations):
        along = (beams @ matrix[:2].T)[:, :, None, None]
        overlap = np.maximum(0.0, 1.0 - size_A * np.abs(along[:, 0] * u + along[:, 1] * v)).sum(axis=0)
        weights[tilt] = 1.0 / overlap
    return weights


def hann(shape: tuple[int, int]) -> np.ndarray:
    """Return the radial Hann window (ny, nx//2+1), 1 at zero and 0 from the Nyquist frequency on."""
    radius = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :])
    return np.where(radius < 0.5, 0.5 * (1 + np.cos(2 * np.pi * radius)), 0.0)


def filter_images(images: Array, weights: Array) -> Array:
    """Return images (n, ny, nx) multiplied by weights (n, ny, nx//2+1) in Fourier space."""
    xp = get_array_module(images)
    fft = fft_module(xp)
    with fft_threads(xp):
        spectrum = fft.rfft2(images) * weights
        return fft.irfft2(spectrum, s=images.shape[1:]).astype(np.float32)
