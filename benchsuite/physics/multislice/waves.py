"""The grid of waves, the waves of probes on it, and their gradients: what the multislice model and its engines share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from benchsuite.physics.backend import Array, get_array_module

Ends = Literal["none", "per_probe", "summed"]  # gradients at entrance and detector: none, of each probe, summed over equal shifts
LARGEST_PRIME = 7  # of the side of a window


@dataclass(frozen=True)
class WaveGrid:
    """The pixels and slices that waves are computed on.

    wavelength_A, pixel_A, slice_A: wavelength, edge of a pixel, distance of neighbouring slices; slices: their number.
    field_px: pixels along one side of the field, whose patterns have pixels of 1/(field_px · pixel_A).
    detector: (rows, columns) of the recorded pattern, at most the field. window_px: side of a probe's window, at most the field,
    which None means. band_limit: the part of the Nyquist frequency that every propagation keeps (None: all of it).
    margin_A: how far probes may stand outside the volume.

    Raises ValueError where window or detector are larger than the field.
    """

    wavelength_A: float
    pixel_A: float
    slice_A: float
    slices: int
    field_px: int
    detector: tuple[int, int]
    window_px: int = 0
    band_limit: float | None = None
    margin_A: float = 0.0

    def __post_init__(self) -> None:
        if self.window_px == 0:
            object.__setattr__(self, "window_px", self.field_px)
        if not 0 < self.window_px <= self.field_px or not all(0 < side <= self.field_px for side in self.detector):
            raise ValueError(
                f"a window of {self.window_px} and a detector of {self.detector} pixels must fit a field of {self.field_px} pixels"
            )

    @property
    def margin_px(self) -> int:
        """Pixels that a probe may stand outside the volume."""
        return int(np.ceil(self.margin_A / self.pixel_A))

    @property
    def pad_px(self) -> int:
        """Pixels of vacuum on each side of a transmission function, for windows that stand out."""
        return self.window_px // 2 + 1 + self.margin_px

    def frequencies(self, side: int) -> np.ndarray:
        """Return the (side,) frequencies in 1/Å of a field of that many pixels, in the order of the FFT."""
        return np.fft.fftfreq(side, self.pixel_A)

    def detector_frequencies(self, count: int) -> np.ndarray:
        """Return the indices, in the order of the FFT, of the `count` lowest frequencies of the field."""
        return (np.fft.fftfreq(count, 1 / count).astype(np.int64)) % self.field_px

    def fresnel_propagator(self, side: int, distance_A: float) -> np.ndarray:
        """Return exp(−iπλ d q²) (side, side) complex64 with the band limit: propagation in free space."""
        q = self.frequencies(side)
        squared = q[:, None] ** 2 + q**2
        kernel = np.exp(-1j * np.pi * self.wavelength_A * distance_A * squared)
        if self.band_limit is not None:
            kernel *= band_limit(squared, self.pixel_A, self.band_limit)
        return kernel.astype(np.complex64)

    def window_origins(self, positions_A: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return origins (n, 2) of the windows in the padded transmission, and shifts (n, 2) of the probes from their centres.

        positions_A: (n, 2) as (x, y) about the centre (index N//2) of a volume of `shape` = (ny, nx) pixels; origins and shifts
        are (y, x), shifts in Å within half a pixel. Raises ValueError where a probe is outside the volume.
        """
        pixels = np.asarray(positions_A, dtype=np.float64)[:, ::-1] / self.pixel_A + np.array(shape) // 2
        nearest = np.floor(pixels + 0.5 - 1e-6).astype(np.int64)
        beyond = np.maximum(-nearest, nearest - np.array(shape) + 1).max(axis=1)
        if beyond.max() > self.margin_px:
            x, y = positions_A[int(np.argmax(beyond))]
            raise ValueError(f"the probe at ({x:.2f}, {y:.2f}) Å is outside the volume of {shape} pixels of {self.pixel_A:g} Å")
        return nearest - self.window_px // 2 + self.pad_px, (pixels - nearest) * self.pixel_A

    def unpadded(self, slices: Array) -> Array:
        """Return the view (slices, ny, nx) of padded slices that belongs to the volume."""
        return slices[:, self.pad_px : -self.pad_px, self.pad_px : -self.pad_px]


@dataclass(frozen=True)
class Waves:
    """Entrance waves of probes, mode by mode; those of positions that differ by whole pixels are one.

    entrance: (k, modes, window, window) complex64. unwindowed_far_field: (k, modes, rows, columns) complex64, what the window
    does not hold, at the detector. shift_index: (n,) which of the k each probe is. shifts_A: (k, 2) = (y, x) distances of the
    probes from the centres of their windows.
    """

    entrance: Array
    unwindowed_far_field: Array
    shift_index: Array
    shifts_A: np.ndarray

    def selected(self, probes: slice | np.ndarray) -> Waves:
        """Return the waves of some of the probes, by slice or indices."""
        chosen = probes if isinstance(probes, slice) else get_array_module(self.shift_index).asarray(probes)
        return replace(self, shift_index=self.shift_index[chosen])

    def scaled(self, intensity_scale: float) -> Waves:
        """Return the waves with so many times their intensity."""
        if intensity_scale == 1.0:
            return self
        factor = np.float32(np.sqrt(intensity_scale))
        return replace(self, entrance=self.entrance * factor, unwindowed_far_field=self.unwindowed_far_field * factor)

    def summed(self, gradients: Array) -> Array:
        """Return the sums (k, …) of gradients (n, …) over the probes of equal shift."""
        result = get_array_module(gradients).zeros((len(self.entrance), *gradients.shape[1:]), gradients.dtype)
        for shift in range(len(result)):
            result[shift] = gradients[self.shift_index == shift].sum(axis=0)
        return result


def unique_subpixel_shifts(shifts_A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different ones among shifts (n, 2) in Å, and the index (n,) of each among those."""
    keys = np.round(shifts_A, 6)
    if (keys == keys[0]).all():  # the usual case where the scan step is a number of pixels; sorting rows is slow
        return keys[:1], np.zeros(len(keys), np.int64)
    different, index = np.unique(keys, axis=0, return_inverse=True)
    return different, index.reshape(-1)


def band_limit(squared: np.ndarray, pixel_A: float, fraction: float, taper: float = 0.01) -> np.ndarray:
    """Return a mask of frequencies (given as q²) below `fraction` of Nyquist, with a cosine edge `taper`/pixel wide inside it."""
    radius, edge, soft = np.sqrt(squared), fraction / (2 * pixel_A), taper / pixel_A
    inside = 0.5 * (1 + np.cos(np.pi * np.clip((radius - edge + soft) / soft, 0, 1)))
    return np.where(radius > edge, 0.0, inside)


def window_pixels(window_A: float | None, pixel_A: float, field_px: int) -> int:
    """Return the side of a probe's window: the next of 8, 16, 24, … pixels that the FFT likes, at most the field."""
    if window_A is None:
        return field_px
    side = int(np.ceil(window_A / pixel_A / 8 - 1e-9)) * 8
    while _largest_factor(side) > LARGEST_PRIME:
        side += 8
    return min(side, field_px)


def _largest_factor(number: int) -> int:
    for prime in (2, 3, 5, 7):
        while number % prime == 0:
            number //= prime
    return number
