"""Resolution by Fourier shell correlation.

    FSC(k) = Re Σ A B* / √(Σ|A|² Σ|B|²)  over the shell |k|          (Harauz & van Heel, Optik 73 (1986) 146)

Thresholds: 0.5 against a noise-free reference, 0.143 between two noisy halves (Rosenthal & Henderson, J. Mol. Biol. 333 (2003) 721,
doi:10.1016/j.jmb.2003.07.013).
"""

from __future__ import annotations

import numpy as np
from ase import Atoms

from benchsuite.columns import Column, Margin
from benchsuite.contract.metric import Metric, Scored, Scores
from benchsuite.data import Grid, Volume
from benchsuite.metrics.tracing.gaussians import add_gaussians
from benchsuite.params import Params

TRUTH_THRESHOLD, HALF_SET_THRESHOLD = 0.5, 0.143  # thresholds of the correlation
ATOM_SIGMA_A = 0.4  # width of the atoms in the reference volume; the correlation of a shell hardly depends on it
RESOLUTION = Margin(0.02, 0.01)


class TruthFSC(Metric[Params]):
    title = "Fourier shell correlation with the ground truth"
    reference = "Harauz & van Heel (1986); Rosenthal & Henderson (2003), doi:10.1016/j.jmb.2003.07.013"
    default = True
    order = 61
    columns = (
        Column(
            "resolution_fsc_A", "FSC resolution", "Å", "lower", RESOLUTION,
            description="Resolution at which the Fourier shell correlation with the ground truth falls below 0.5",
        ),
    )  # fmt: skip

    def measure(self, scored: Scored) -> Scores:
        if scored.volume is None or scored.truth is None or scored.specimen is None:
            return Scores({})
        frequency, shells = fsc_against_truth(scored.volume, scored.specimen, scored.shift_A)
        curves = {"fsc_frequency": frequency, "fsc_correlation": shells}
        return Scores({"resolution_fsc_A": resolution_at(frequency, shells, TRUTH_THRESHOLD)}, curves)


class HalfSetFSC(Metric[Params]):
    title = "Fourier shell correlation of reconstructions of half the tilts each"
    reference = "Rosenthal & Henderson (2003), doi:10.1016/j.jmb.2003.07.013"
    default = True
    order = 62
    columns = (
        Column(
            "resolution_half_sets_A", "FSC resolution of half sets", "Å", "lower", RESOLUTION,
            description="Resolution at which the Fourier shell correlation of the two half sets falls below 0.143",
        ),
    )  # fmt: skip

    def measure(self, scored: Scored) -> Scores:
        volumes = [half.volume for half in scored.halves if half.volume is not None]
        if len(volumes) != 2:
            return Scores({})
        frequency, shells = fourier_shell_correlation(volumes[0].data, volumes[1].data, volumes[0].voxel_A)
        curves = {"fsc_half_sets_frequency": frequency, "fsc_half_sets_correlation": shells}
        return Scores({"resolution_half_sets_A": resolution_at(frequency, shells, HALF_SET_THRESHOLD)}, curves)


def fsc_against_truth(volume: Volume, specimen: Atoms, shift_A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (frequency 1/Å, correlation) of the volume with the true atoms drawn as Gaussians weighted by Z.

    The common shift found in matching is undone first, as it is for the positions.
    """
    placed = specimen.copy()
    placed.positions = placed.positions + shift_A
    return fourier_shell_correlation(volume.data, render(placed, volume.grid, ATOM_SIGMA_A), volume.voxel_A)


def fourier_shell_correlation(a: np.ndarray, b: np.ndarray, voxel_A: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (frequency in 1/Å, correlation) of two volumes of one shape, in shells one Fourier voxel thick up to Nyquist."""
    fa, fb = np.fft.rfftn(a.astype(np.float64)), np.fft.rfftn(b.astype(np.float64))
    k = _radius(a.shape)
    side = max(a.shape)
    shell = np.rint(k * side).astype(int)
    weight = np.full(fa.shape, 2.0)
    weight[..., 0] = 1.0
    if a.shape[-1] % 2 == 0:
        weight[..., -1] = 1.0
    count = side // 2 + 1
    inside = shell < count

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(shell[inside], (values * weight)[inside], minlength=count)

    power = np.sqrt(total(np.abs(fa) ** 2) * total(np.abs(fb) ** 2))
    correlation = np.divide(total((fa * fb.conj()).real), power, out=np.zeros(count), where=power > 0)
    return np.arange(count) / (side * voxel_A), correlation


def resolution_at(frequency: np.ndarray, correlation: np.ndarray, threshold: float) -> float:
    """Return the resolution in Å where the correlation first falls below the threshold, interpolated.

    Where it never does, 1/(highest frequency); nan where it is below from the first shell on.
    """
    below = np.flatnonzero(correlation[1:] < threshold) + 1
    if len(below) == 0:
        return 1.0 / float(frequency[-1])
    first = int(below[0])
    if first == 1:
        return float("nan")
    high, low = correlation[first - 1], correlation[first]
    crossing = frequency[first - 1] + (high - threshold) / (high - low) * (frequency[first] - frequency[first - 1])
    return 1.0 / float(crossing)


def render(atoms: Atoms, grid: Grid, sigma_A: float) -> np.ndarray:
    """Return a float32 volume (nz, ny, nx) of the atoms as Gaussians with peak heights proportional to the atomic number."""
    volume = np.zeros(grid.shape, dtype=np.float32)
    precision = np.broadcast_to(np.eye(3) * (grid.voxel_A / sigma_A) ** 2, (len(atoms), 3, 3))
    add_gaussians(volume, atoms.numbers.astype(np.float64), grid.indices(atoms.positions), precision)
    return volume


def _radius(shape: tuple[int, ...]) -> np.ndarray:
    z, y, x = np.fft.fftfreq(shape[0]), np.fft.fftfreq(shape[1]), np.fft.rfftfreq(shape[2])
    return np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
