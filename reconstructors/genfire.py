"""GENFIRE: generalized Fourier iterative reconstruction.

Every image's transform lies on a plane of the volume's transform. On a grid oversampled by zero padding, each Fourier point
nearer than the interpolation radius to a plane takes the value of the image's transform at the foot of the perpendicular; several
are averaged with weights 1/distance. Then, with M the measured points and b their values,

    V ← P[ V + F⁻¹ M (b − F V) ]

where P keeps the box (support) and clips negatives: the measured points are replaced, everything else is left. With
resolution extension and suppression, only points with 1 − |k|/k_max above a cut-off are replaced; the cut-off runs from 0.95
down to −0.15 and back. The iterate with the least error Σ|b − F V| / Σ|b| is the result.

A. Pryor et al., Sci. Rep. 7 (2017) 10409, doi:10.1038/s41598-017-09847-1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from benchsuite.contract.algorithm import Context
from benchsuite.contract.plug import Cost
from benchsuite.contract.reconstructor import Iterate, Reconstructor
from benchsuite.data import Grid, TiltSeries
from benchsuite.params import Count, Params, Positive
from benchsuite.physics.backend import Array, fft_module, fft_threads, get_array_module
from benchsuite.reconstructors.checks import PROJECTIONS, projections, reason_to_skip
from benchsuite.reconstructors.costs import FOURIER_VOXEL_S

POINTS_AT_ONCE = 8192  # Fourier points transformed together
MIN_DISTANCE_PX = 1e-3  # oversampled pixels: bounds the weight of points on the plane itself


class GENFIREParams(Params):
    iterations: Count = Field(100, description="Number of times that Fourier and real-space constraints are applied")
    oversampling: Count = Field(3, description="Ratio of the padded size to the size")
    interpolation_radius: Positive = Field(0.3, description="Interpolation radius in pixels of the oversampled Fourier grid")
    gridding: Literal["dft", "fft"] = Field(
        "dft", description="Fourier values by exact transform at the foot points (dft), or by the nearest FFT sample (fft)"
    )
    positivity: bool = True
    support: Literal["box", "sphere"] = Field("box", description="Region in which the volume may differ from zero")
    enforcement: Literal["all", "extension_suppression"] = Field(
        "extension_suppression",
        description="Enforcement of the measured points: all at once, or from low to high resolution and back",
    )


class GENFIRE(Reconstructor[GENFIREParams]):
    Params = GENFIREParams
    modalities = PROJECTIONS
    title = "GENFIRE: generalized Fourier iterative reconstruction"
    reference = "Pryor et al., Sci. Rep. 7 (2017) 10409, doi:10.1038/s41598-017-09847-1"

    def accepts(self, series: TiltSeries) -> str | None:
        return reason_to_skip("GENFIRE", series)

    def reconstruct(self, series: TiltSeries, context: Context) -> Iterator[Iterate]:
        p, xp = self.params, context.xp
        images = projections(series, np).astype(np.float64)
        points = grid_projections(images, series.rotations, series.scan_step_A, context.grid, p)
        index, values = xp.asarray(points.index), xp.asarray(points.values)
        delay = xp.asarray(points.confidence)
        shape = padded_shape(context.grid, p.oversampling)
        support = xp.asarray(sphere(context.grid.shape)) if p.support == "sphere" else None
        volume = xp.zeros(context.grid.shape, dtype=np.float32)
        best, best_error = volume, np.inf
        scale = float(xp.abs(values).sum(dtype=np.float64)) or 1.0
        cutoffs = enforcement_cutoffs(p.iterations, p.enforcement)
        with fft_threads(xp):
            for iteration in range(1, p.iterations + 1):
                spectrum = padded_transform(volume, shape)
                difference = values - spectrum.reshape(-1)[index]
                error = float(xp.abs(difference).sum(dtype=np.float64)) / scale
                if error < best_error and iteration > 1:
                    best, best_error = volume, error
                spectrum[...] = 0
                spectrum.reshape(-1)[index] = xp.where(delay > np.float32(cutoffs[iteration - 1]), difference, 0)
                volume = volume + cropped_inverse(spectrum, context.grid.shape, shape)
                if p.positivity:
                    volume = xp.maximum(volume, 0)
                if support is not None:
                    volume = volume * support
                yield Iterate(iteration, error, volume=volume)
            last = values - padded_transform(volume, shape).reshape(-1)[index]
        error = float(xp.abs(last).sum(dtype=np.float64)) / scale
        if error > best_error:
            volume, error = best, best_error
        yield Iterate(p.iterations, error, volume=volume)

    def cost(self, series_shape: tuple[int, ...], grid: Grid) -> Cost:
        shape = padded_shape(grid, self.params.oversampling)
        half = float(math.prod(shape)) / 2
        seconds = FOURIER_VOXEL_S * half * (self.params.iterations + series_shape[0])
        return Cost(seconds=seconds, bytes=8 * half * 3.5 + 2e8)


@dataclass(frozen=True)
class MeasuredPoints:
    """Measured points of the half spectrum: flat index (n,), values (n,) complex64, confidence 1 − |k|/k_max (n,)."""

    index: np.ndarray
    values: np.ndarray
    confidence: np.ndarray


def padded_shape(grid: Grid, oversampling: int) -> tuple[int, int, int]:
    """Return the shape of the padded volume, its axes rounded up to even numbers."""
    nz, ny, nx = (2 * ((side * oversampling + 1) // 2) for side in grid.shape)
    return nz, ny, nx


def enforcement_cutoffs(iterations: int, enforcement: str) -> np.ndarray:
    """Return (iterations,) cut-offs: points with a confidence above are enforced."""
    if enforcement == "all":
        return np.full(iterations, -1.0)
    down = np.linspace(0.95, -0.15, 12)
    steps = np.concatenate([down, down[::-1]])
    return steps[np.minimum(np.arange(iterations) * len(steps) // iterations, len(steps) - 1)]


def grid_projections(
    images: np.ndarray, rotations: np.ndarray, pixel_A: float, grid: Grid, params: GENFIREParams
) -> MeasuredPoints:
    """Return the Fourier points that the images (n, ny, nx) measure, for a volume whose corner, not centre, is the origin."""
    shape = padded_shape(grid, params.oversampling)
    half = (shape[0], shape[1], shape[2] // 2 + 1)
    found, weights, weighted = [], [], []
    for image, matrix in zip(images, rotations, strict=True):
        for points, distance in points_near_plane(half, shape, matrix[2], params.interpolation_radius):
            k = points / np.array(shape[::-1])  # (x, y, z) cycles per voxel
            uv = k @ matrix[:2].T * (pixel_A / grid.voxel_A)
            inside = (np.abs(uv) < 0.5).all(axis=1)
            points, uv, distance = points[inside], uv[inside], distance[inside]
            value = transform_at(image, uv) if params.gridding == "dft" else nearest_sample(image, uv, params.oversampling)
            weight = 1.0 / np.maximum(distance, MIN_DISTANCE_PX)
            flat = np.ravel_multi_index(tuple((points[:, ::-1] % np.array(shape)).astype(np.int64).T), half)
            found.append(flat)
            weights.append(weight)
            weighted.append(weight * value)
    index, inverse = np.unique(np.concatenate(found), return_inverse=True)
    weight = np.bincount(inverse, np.concatenate(weights))
    total = np.concatenate(weighted)
    values = (np.bincount(inverse, total.real) + 1j * np.bincount(inverse, total.imag)) / weight
    k = frequencies(index, half, shape)
    centre = np.array([side // 2 for side in grid.shape[::-1]])
    values *= np.exp(-2j * np.pi * (k @ centre)) * (pixel_A**2 / grid.voxel_A**3)
    confidence = 1.0 - np.linalg.norm(k, axis=1) / 0.5
    return MeasuredPoints(index, values.astype(np.complex64), confidence.astype(np.float32))


def points_near_plane(
    half: tuple[int, int, int], shape: tuple[int, int, int], normal: np.ndarray, radius: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, in parts, integer points (n, 3) = (x, y, z) of the half spectrum and their distances (n,) from a central plane.

    Points beyond the sphere of the Nyquist frequency are left out. Distances are in pixels of the finest axis of the grid.
    """
    side = max(shape)
    stretch = side / np.array(shape[::-1], dtype=np.float64)
    x = np.arange(half[2]) * stretch[0]
    y = np.fft.fftfreq(shape[1], 1 / shape[1]) * stretch[1]
    across = x * normal[0] + (y * normal[1])[:, None]
    square = x**2 + (y**2)[:, None]
    for z in np.fft.fftfreq(shape[0], 1 / shape[0]):
        height = z * stretch[2]
        distance = np.abs(across + height * normal[2])
        iy, ix = np.nonzero((distance <= radius) & (square + height**2 < (side / 2 - 0.5) ** 2))
        if len(ix):
            yield np.stack([ix.astype(np.float64), y[iy] / stretch[1], np.full(len(ix), z)], axis=1), distance[iy, ix]


def transform_at(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Return the (n,) exact transform of an image (ny, nx), origin at its centre N//2, at (u, v) in cycles per pixel (n, 2)."""
    ny, nx = image.shape
    x, y = np.arange(nx) - nx // 2, np.arange(ny) - ny // 2
    values = np.empty(len(uv), dtype=np.complex128)
    for first in range(0, len(uv), POINTS_AT_ONCE):
        part = uv[first : first + POINTS_AT_ONCE]
        rows = np.exp(-2j * np.pi * part[:, :1] * x) @ image.T
        values[first : first + POINTS_AT_ONCE] = (rows * np.exp(-2j * np.pi * part[:, 1:] * y)).sum(axis=1)
    return values


def nearest_sample(image: np.ndarray, uv: np.ndarray, oversampling: int) -> np.ndarray:
    """Return the (n,) nearest samples of the padded FFT of an image, origin at its centre N//2, at (u, v) (n, 2)."""
    ny, nx = image.shape
    py, px = ny * oversampling, nx * oversampling
    spectrum = np.fft.fft2(image, s=(py, px))
    i, j = np.rint(uv[:, 1] * py).astype(int), np.rint(uv[:, 0] * px).astype(int)
    return spectrum[i % py, j % px] * np.exp(2j * np.pi * (i / py * (ny // 2) + j / px * (nx // 2)))


def frequencies(index: np.ndarray, half: tuple[int, int, int], shape: tuple[int, int, int]) -> np.ndarray:
    """Return (n, 3) = (x, y, z) frequencies in cycles per voxel of flat indices into the half spectrum."""
    z, y, x = np.unravel_index(index, half)
    return np.stack([x / shape[2], np.fft.fftfreq(shape[1])[y], np.fft.fftfreq(shape[0])[z]], axis=1)


def padded_transform(volume: Array, shape: tuple[int, int, int]) -> Array:
    """Return the half spectrum complex64 of a volume padded to `shape`, transforming only columns that are not zero."""
    fft = fft_module(get_array_module(volume))
    spectrum = fft.rfft(volume, n=shape[2], axis=2)
    spectrum = fft.fft(spectrum, n=shape[1], axis=1)
    return fft.fft(spectrum, n=shape[0], axis=0)


def cropped_inverse(spectrum: Array, shape: tuple[int, int, int], padded: tuple[int, int, int]) -> Array:
    """Return the corner of `shape` (nz, ny, nx) of the inverse transform; what it does not need is dropped axis by axis."""
    fft = fft_module(get_array_module(spectrum))
    part = fft.ifft(spectrum, axis=0, overwrite_x=True)[: shape[0]]
    part = fft.ifft(part, axis=1)[:, : shape[1]]
    return fft.irfft(part, n=padded[2], axis=2)[..., : shape[2]].astype(np.float32)


def sphere(shape: tuple[int, int, int]) -> np.ndarray:
    """Return a float32 mask (nz, ny, nx), 1 within the largest centred sphere."""
    axes = [np.arange(side) - side // 2 for side in shape]
    radius = axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2
    return (radius <= (min(shape) / 2) ** 2).astype(np.float32)
