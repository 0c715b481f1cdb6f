"""A mask of the particle in three dimensions, projected and applied to every image: what is outside cannot be the particle.

A coarse volume (RESIRE on binned images) is blurred and cut at Otsu's threshold, its largest part is enlarged by `margin_A` and
projected along every tilt, and the images are set to zero where no voxel of it is seen.

A. Romanov, M. Cho, M. Scott, P. Pelz, J. Phys. Mater. 8 (2025) 015005, sec. 2.2. N. Otsu, IEEE Trans. SMC 9 (1979) 62,
doi:10.1109/TSMC.1979.4310076.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from benchsuite.contract.algorithm import Context
from benchsuite.contract.plug import Cost
from benchsuite.contract.preprocessing import Preprocessing
from benchsuite.data import Grid, Preprocessed, TiltSeries
from benchsuite.params import Count, NonNegative, Params, Positive
from benchsuite.physics.projection.projector import Projector
from benchsuite.reconstructors.checks import projections, reason_to_skip, reason_without_sum
from benchsuite.reconstructors.costs import MASK_DESCENT_S
from benchsuite.reconstructors.solvers.fista import largest_eigenvalue, nonnegative_least_squares

MIN_THICKNESS_VOXELS = 0.5  # voxels of the mask along the beam above which a pixel belongs to it


class MaskParams(Params):
    pixel_A: Positive = Field(1.2, description="Smallest pixel of the binned images for the coarse volume")
    iterations: Count = Field(15, description="RESIRE iterations for the coarse volume")
    blur_A: Positive = Field(2.0, description="Standard deviation of the blur before the volume is thresholded")
    margin_A: NonNegative = Field(2.0, description="Margin of the mask beyond the particle")


class Mask(Preprocessing[MaskParams]):
    """Extras: `masked` (n_tilt,), the fraction of each image that is set to zero."""

    Params: ClassVar[type[Params]] = MaskParams
    libraries = ("scikit-image",)
    title = "Projected mask of the particle"
    reference = "Romanov et al., J. Phys. Mater. 8 (2025) 015005"

    def accepts(self, series: TiltSeries) -> str | None:
        return super().accepts(series) or reason_to_skip("mask", series) or reason_without_sum("mask", series)

    def preprocess(self, series: TiltSeries, context: Context) -> Preprocessed:
        from scipy.ndimage import binary_dilation, gaussian_filter, label
        from skimage.filters import threshold_otsu

        p, bins = self.params, max(1, math.ceil(self.params.pixel_A / series.scan_step_A - 1e-9))
        pixel = bins * series.scan_step_A
        nz, ny, nx = (math.ceil(n * context.grid.voxel_A / pixel) for n in context.grid.shape)
        grid = Grid((nz, ny, nx), pixel)
        images = binned(projections(series, np), bins, (ny, nx))
        projector = Projector(series.rotations, grid, images.shape[1:], pixel, threads=context.threads)
        start = np.zeros(grid.shape, dtype=np.float32)
        volume = nonnegative_least_squares(projector, images, start, 1 / largest_eigenvalue(projector, grid.shape), p.iterations)
        smooth = gaussian_filter(volume, p.blur_A / pixel)
        parts, _ = label(smooth > threshold_otsu(smooth))
        particle = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
        reach = int(np.ceil(p.margin_A / pixel))
        around = np.indices((2 * reach + 1,) * 3) - reach
        if reach:
            particle = binary_dilation(particle, (around**2).sum(axis=0) <= (p.margin_A / pixel) ** 2 + 1e-9)
        fine = Projector(series.rotations, grid, series.scan_shape, series.scan_step_A, subvoxels=2 * bins, threads=context.threads)
        inside = fine.forward(particle.astype(np.float32)) > MIN_THICKNESS_VOXELS * pixel
        data = np.where(inside[:, None], series.data, np.float32(0))
        return Preprocessed(replace(series, data=data), extras={"masked": 1 - inside.mean(axis=(1, 2))})

    def cost(self, series_shape: tuple[int, ...], grid: Grid) -> Cost:
        voxels = float(math.prod(grid.shape)) * (grid.voxel_A / max(self.params.pixel_A, grid.voxel_A)) ** 3
        return Cost(1.0 + MASK_DESCENT_S * voxels * series_shape[0] * (self.params.iterations + 4), 3e8 + 50 * voxels)


def binned(images: np.ndarray, bins: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return images (n, ny, nx) as (n, *shape) means of bins × bins pixels; the centre N//2 stays at N//2, zeros are added."""
    from scipy.ndimage import affine_transform, uniform_filter

    result = np.zeros((len(images), *shape), dtype=np.float32)
    offset = [n // 2 - bins * (m // 2) for n, m in zip(images.shape[1:], shape, strict=True)]
    for image, coarse in zip(images, result, strict=True):
        mean = uniform_filter(image, bins, mode="constant")
        coarse[...] = affine_transform(mean, [bins, bins], offset, output_shape=shape, order=1)
    return result
