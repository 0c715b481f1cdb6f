"""The three-dimensional spectral amplitude of a volume, projected on axes and planes, and its last peak: resolution along an axis.

    S(k_x) = ⟨|F(k)|⟩ over k_y and k_z,    F the Fourier transform of (V − mean) times a Hann window on every axis

After Romanov et al., J. Phys. Mater. 8 (2025) 015005 (arXiv:2311.02580), Fig. 5, who read the last peak off such curves.
Here peaks are sought before the projection, where they do not drown in the noise of a whole plane and do not overlap. A peak is a
Fourier voxel

    below the Nyquist frequency that exceeds its 26 neighbours, 6 times the root mean square of its surroundings (9³ voxels about
    it without the inner 5³), and 4 times the mean of all voxels as far from the origin,

and the last peak along an axis is the one with the largest component along it. In noise the amplitude has a Rayleigh distribution,
so a voxel passes by chance with e⁻³⁶, and still with e⁻¹⁸ where noise fills only half of the surroundings (Fourier planes of few
tilts). The third condition keeps out the faint patterns that interpolation leaves in a missing wedge.

The resolution is 1/(that component), at best two voxels. A peak says that something periodic is in the volume, not that it is
right. Reflections oblique to an axis count with their component: after tilts up to α about y they reach k_z = k sin α, which is
what tells atoms apart along z. Glasses have no peaks, and no resolution by this rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchsuite.columns import Column, Margin
from benchsuite.contract.metric import Metric, Scored, Scores
from benchsuite.params import Params

MIN_PEAK_CONTRAST = 6.0  # of a peak over the root mean square of its surroundings
MIN_SHELL_CONTRAST = 4.0  # of a peak over the mean amplitude at its frequency
WINDOW_VARIANCE = 0.67  # voxels², of a peak as sharp as the window lets it: 0.72 on a voxel, 0.62 between two
INNER_VOXELS, OUTER_VOXELS = 2, 4  # the surroundings of a peak are farther than the one and within the other, along some axis
MIN_RELATIVE_AMPLITUDE = 1e-5  # of the strongest voxel: below are the rounding errors of float32
MIN_FREQUENCY_PER_A = 0.1  # longer periods are the outline of the particle
MAX_PIXELS = 256  # of a projection kept for a figure
MAX_FREQUENCY_PER_A = 2.0


class Spectrum(Metric[Params]):
    title = "Last spectral peak along each axis"
    reference = "Romanov et al. (2025), arXiv:2311.02580"
    default = True
    order = 31
    columns = (
        Column(
            "resolution_<axis>_A", "Resolution along <axis>", "Å", "lower", Margin(0.02, 0.01), "detail",
            "Period of the last peak of the 3D spectral amplitude along <axis> of the specimen", "spectral_amplitude",
        ),
    )  # fmt: skip

    def measure(self, scored: Scored) -> Scores:
        if scored.volume is None:
            return Scores({})
        spectrum = spectral_amplitude(scored.volume.data, scored.volume.voxel_A)
        values = {f"resolution_{axis}_A": last for axis, last in resolutions(bragg_peaks(spectrum)).items()}
        return Scores(values, curves_of(spectrum))


@dataclass(frozen=True)
class SpectralAmplitude:
    """half: float32 |F| of shape (nz, ny, nx // 2 + 1), zero frequency first on every axis; shape: (nz, ny, nx) of the volume."""

    half: np.ndarray
    shape: tuple[int, int, int]
    voxel_A: float

    def along(self, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (frequency in 1/Å, mean amplitude), from zero to Nyquist, along an axis of the array: 0 is z."""
        kept = self.shape[axis] // 2 + 1
        mean = self.half.mean(axis=(0, 1)) if axis == 2 else self._without_x().mean(axis=1 - axis)
        return np.fft.rfftfreq(self.shape[axis], self.voxel_A), mean[:kept].astype(np.float64)

    def on_plane(self, normal: int) -> np.ndarray:
        """Return the float32 mean along one axis of the array, an image with zero frequency at index N//2, other axes in order."""
        if normal == 2:
            return np.fft.fftshift(self._without_x()).astype(np.float32)
        right = self.half.mean(axis=normal)
        left = _inverted(right, 0)[:, 1 : (self.shape[2] + 1) // 2][:, ::-1]
        image = np.concatenate([right, left], axis=1)
        return np.fft.fftshift(image).astype(np.float32)

    def _without_x(self) -> np.ndarray:
        """Return the mean over all k_x, (nz, ny): half of them stand at the inverse frequency (Friedel)."""
        once = [0] if self.shape[2] % 2 else [0, -1]  # their own mirror images
        there = self.half.sum(axis=2)
        back = there - self.half[..., once].sum(axis=2)
        return (there + _inverted(_inverted(back, 0), 1)) / self.shape[2]


def spectral_amplitude(volume: np.ndarray, voxel_A: float) -> SpectralAmplitude:
    """Return the amplitude of a volume (nz, ny, nx) under a Hann window; its mean is taken off first, so that none of it leaks."""
    from scipy.fft import rfftn

    windows = [hann(count) for count in volume.shape]
    window = windows[0][:, None, None] * windows[1][:, None] * windows[2]
    mean = float((volume * window).sum(dtype=np.float64) / window.sum(dtype=np.float64))
    nz, ny, nx = volume.shape
    return SpectralAmplitude(np.abs(rfftn((volume - np.float32(mean)) * window)), (nz, ny, nx), voxel_A)


def hann(count: int) -> np.ndarray:
    """Return the float32 periodic Hann window (count,), 0 at index 0 and 1 in the middle."""
    return (np.sin(np.pi * np.arange(count) / count) ** 2).astype(np.float32) if count > 1 else np.ones(1, np.float32)


@dataclass(frozen=True)
class Peaks:
    """k_per_A: (n, 3) positions (k_x, k_y, k_z) in 1/Å, one of each pair ±k.

    variance_per_A2: (n, 3), of Gaussians as sharp as they, less that of the window: what the shape of the particle makes of it.
    amplitude: (n,) of the highest voxel; contrast: (n,), that over its surroundings.
    """

    k_per_A: np.ndarray
    variance_per_A2: np.ndarray
    amplitude: np.ndarray
    contrast: np.ndarray


def bragg_peaks(spectrum: SpectralAmplitude, contrast: float = MIN_PEAK_CONTRAST) -> Peaks:
    """Return the peaks of the amplitude, strongest contrast first. Positions are those of parabolas through its logarithm."""
    from scipy.ndimage import maximum_filter, uniform_filter

    left = _inverted(_inverted(spectrum.half[..., OUTER_VOXELS:0:-1], 0), 1)  # Friedel's mates, so that k_x = 0 is no border
    wide = np.concatenate([left, spectrum.half], axis=2).astype(np.float32)
    modes: list[Literal["wrap", "nearest"]] = ["wrap", "wrap", "nearest"]
    outer, inner = (2 * reach + 1 for reach in (OUTER_VOXELS, INNER_VOXELS))
    sums = [np.asarray(uniform_filter(wide * wide, side, mode=modes)) * side**3 for side in (outer, inner)]
    around = np.sqrt(np.maximum(sums[0] - sums[1], 0.0) / (outer**3 - inner**3))
    high = (
        (wide == maximum_filter(wide, 3, mode=modes))
        & (wide > contrast * around)
        & (wide > MIN_RELATIVE_AMPLITUDE * wide.max(initial=0.0))
    )
    found = np.argwhere(high[..., OUTER_VOXELS:] & (spectrum.half > MIN_SHELL_CONTRAST * shell_mean(spectrum))) + np.array(
        [0, 0, OUTER_VOXELS]
    )
    sharp, variance = _vertex(wide, found)
    count = np.array(spectrum.shape)
    width = (count * spectrum.voxel_A)[::-1]
    sharp -= [0, 0, OUTER_VOXELS]
    k = np.where(sharp > (count - 1) // 2, sharp - count, sharp)[:, ::-1] / width
    radius = np.linalg.norm(k, axis=1)
    far = (
        (radius > MIN_FREQUENCY_PER_A)
        & (radius < 0.5 / spectrum.voxel_A)
        & ((found[:, 2] > OUTER_VOXELS) | (k[:, 2] > 0) | ((k[:, 2] == 0) & (k[:, 1] > 0)))
    )
    k, places = k[far], tuple(found[far].T)
    ratio = wide[places] / np.maximum(around[places], np.finfo(np.float32).tiny)
    order = np.argsort(-ratio, kind="stable")
    variance = (np.maximum(variance - WINDOW_VARIANCE, 0.0)[:, ::-1] / width**2)[far][order]
    return Peaks(k[order], variance, wide[places][order].astype(np.float64), ratio[order].astype(np.float64))


def shell_mean(spectrum: SpectralAmplitude) -> np.ndarray:
    """Return, for every voxel of the half spectrum, the mean amplitude of its shell of frequencies; infinite beyond Nyquist."""
    z, y, x = (np.fft.fftfreq(n).astype(np.float32) for n in spectrum.shape)
    radius = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x[: spectrum.half.shape[2]] ** 2)
    shell = np.rint(radius * max(spectrum.shape)).astype(np.int64)
    mean = np.bincount(shell.ravel(), spectrum.half.ravel()) / np.maximum(np.bincount(shell.ravel()), 1)
    return np.where(radius < 0.5, mean[shell], np.inf).astype(np.float32)


def _vertex(data: np.ndarray, voxel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, 3) vertices and variances of parabolas through three logarithms on each axis, which is taken as periodic."""
    vertex, variance = voxel.astype(np.float64), np.zeros(voxel.shape)
    for axis, step in enumerate(np.eye(3, dtype=int)):
        at = (data[tuple(((voxel + side * step) % data.shape).T)] for side in (-1, 0, 1))
        below, here, above = (np.log(np.maximum(value.astype(np.float64), np.finfo(np.float32).tiny)) for value in at)
        curvature = 2 * here - below - above
        variance[:, axis] = np.divide(1.0, curvature, out=np.zeros(len(voxel)), where=curvature > 0)
        vertex[:, axis] += (0.5 * (above - below) * variance[:, axis]).clip(-0.5, 0.5)
    return vertex, variance


def last_spectral_peak(peaks: Peaks, axis: str) -> float:
    """Return the largest component (1/Å) of any peak along "x", "y" or "z"; nan where there is no peak."""
    return float(np.abs(peaks.k_per_A[:, "xyz".index(axis)]).max()) if len(peaks.k_per_A) else float("nan")


def resolutions(peaks: Peaks) -> dict[str, float]:
    """Return {"x": …, "y": …, "z": …}: 1/(last peak) in Å along each axis of the specimen, nan without a peak."""
    last = {axis: last_spectral_peak(peaks, axis) for axis in "xyz"}
    return {axis: 1.0 / k if k > 0 else float("nan") for axis, k in last.items()}


def curves_of(amplitude: SpectralAmplitude) -> dict[str, np.ndarray]:
    """Return what the figure needs, as named float32 arrays up to 2 Å⁻¹, projections binned to at most 256 pixels.

    spectrum_<a>_per_A, spectrum_<a>: frequency and amplitude along x, y, z. spectrum_<ab>: projection, a to the right and b upwards
    (rows), zero frequency in the middle; spectrum_<ab>_reach_per_A: half its width and half its height.
    """
    found: dict[str, np.ndarray] = {}
    for axis, name in ((2, "x"), (1, "y"), (0, "z")):
        frequency, mean = amplitude.along(axis)
        kept = frequency <= MAX_FREQUENCY_PER_A
        found[f"spectrum_{name}_per_A"] = frequency[kept].astype(np.float32)
        found[f"spectrum_{name}"] = mean[kept].astype(np.float32)
    for normal, name in ((0, "xy"), (1, "xz"), (2, "yz")):
        image, reach = amplitude.on_plane(normal), []
        for axis in (0, 1):
            image, half = _central(image, axis, amplitude.voxel_A)
            reach.append(half)
        found[f"spectrum_{name}"] = image
        found[f"spectrum_{name}_reach_per_A"] = np.array(reach[::-1], np.float32)
    return found


def _central(image: np.ndarray, axis: int, voxel_A: float) -> tuple[np.ndarray, float]:
    """Return an image cut to frequencies below the highest and binned along one axis, and the frequency at its edge (1/Å)."""
    count = image.shape[axis]
    half = min(count // 2, int(MAX_FREQUENCY_PER_A * count * voxel_A))
    factor = -(-2 * half // MAX_PIXELS) if half else 1
    half -= half % factor  # bins of the factor, none across the middle
    part = np.take(image, np.arange(count // 2 - half, count // 2 + half) if half else [0], axis=axis)
    shape = (*part.shape[:axis], -1, factor, *part.shape[axis + 1 :])
    return part.reshape(shape).mean(axis=axis + 1).astype(np.float32), half / (count * voxel_A)


def _inverted(spectrum: np.ndarray, axis: int) -> np.ndarray:
    """Return a spectrum with the sign of the frequencies of one axis changed."""
    return np.roll(np.flip(spectrum, axis), 1, axis)
