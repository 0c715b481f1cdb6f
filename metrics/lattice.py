"""The cubic lattice of a crystal in a volume, found without the truth: cell and orientation from Bragg peaks, then a shift.

After Romanov et al., J. Phys. Mater. 8 (2025) 015005 (arXiv:2311.02580), who turned a model of the crystal by hand,
fitted the Bragg peaks in Fourier space and then shifted it in real space. Here the first step is a search:

1. Orientations on a grid of 2.5° over the rotations that differ under cubic symmetry (Rodrigues vectors r with every
   |r_i| ≤ √2 − 1 and Σ|r_i| ≤ 1). Each is scored by how near the reflections hkl
   that the strong sites make fall to the peaks of `spectrum.bragg_peaks`.
2. From the best ones on, the reciprocal cell B in k = B h is fitted to the peaks by least squares, with more reflections in every
   round. Last, the peaks are moved outwards by what the decay of the atoms' spectrum has pulled them in: without that, the
   lattice of a cube of 30 Å looks wider by 0.15%.
3. The volume is averaged over all cells, and the shift is where the average summed over the strong sites is highest.

Crystals of class m-3m alone (fcc, bcc, rocksalt, spinel): for others the 24 orientations differ.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from benchsuite.columns import Column, Margin
from benchsuite.contract.metric import Metric, Scored
from benchsuite.data import Volume, particle_of
from benchsuite.metrics.spectrum import Peaks, bragg_peaks, hann, spectral_amplitude
from benchsuite.metrics.tracing.classify import PARTICLE_BLUR_A, otsu_threshold
from benchsuite.params import Params
from benchsuite.physics.rotations import rotation_from_vector

ORIENTATION_STEP_DEG = 2.5
MIN_STRUCTURE_FACTOR = 0.25  # least structure factor of a reflection, over the number of strong sites
SEARCH_LIMIT_PER_A, FIT_LIMIT_PER_A = 0.75, 1.5  # reflections of the search and of the fit
PEAK_RADIUS_PER_A = 0.045  # how far a peak is felt in the search: what half a step moves the outermost reflection, and half as much
FIT_SCHEDULE = ((0.5, 0.05), (0.75, 0.03), (1.0, 0.02), (1.5, 0.02), (1.5, 0.015))  # (highest frequency, farthest peak), 1/Å
MAX_CANDIDATES = 5
MIN_PEAKS = 6  # pairs ±k
CELL_STEP_A, SITE_SIGMA_A = 0.2, 0.5  # of the averaged cell, and the blur under which it is compared
MAX_VOXELS = 192  # along an axis: the centre of a larger volume is enough


class LatticeErrors(Metric[Params]):
    title = "Errors of the cubic lattice that a volume shows"
    reference = "Romanov et al. (2025), arXiv:2311.02580"
    default = True
    order = 33
    columns = (
        Column(
            "lattice_rotation_deg", "Lattice misorientation", "°", "lower", Margin(0.05, 0.05), "detail",
            "Misorientation between true and reconstructed lattice",
        ),
        Column(
            "lattice_strain_pct", "Lattice strain", "%", "lower", Margin(0.05, 0.05), "detail",
            "Largest principal strain of the reconstructed against the true lattice",
        ),
    )  # fmt: skip

    def measure(self, scored: Scored) -> Mapping[str, float]:
        if scored.volume is None or scored.truth is None or scored.specimen is None:
            return {}
        return lattice_scores(scored.volume, particle_of(scored.specimen))


def lattice_scores(volume: Volume, particle: Atoms) -> dict[str, float]:
    """Return how a lattice found without the truth differs from that of a single crystal; nothing of other specimens.

    lattice_rotation_deg: between the orientations. lattice_strain_pct: the largest principal strain. nan where none was found.
    """
    info = particle.info
    if "crystal_rotation_rad" not in info:
        return {}
    found = find_lattice(volume, float(info["lattice_A"]), np.reshape(info["crystal_sites"], (-1, 3)))
    if found is None:
        return {"lattice_rotation_deg": float("nan"), "lattice_strain_pct": float("nan")}
    true = rotation_from_vector(np.asarray(info["crystal_rotation_rad"]))
    strain = float(np.abs(np.linalg.eigvalsh(found.strain)).max())
    return {"lattice_rotation_deg": misorientation_deg(found.orientation, true), "lattice_strain_pct": 100 * strain}


@dataclass(frozen=True)
class Lattice:
    """cell: (3, 3), column i is the cell vector i in Å (x, y, z). origin_A: (3,) of a cell. peaks: Bragg peaks that it fits."""

    cell: np.ndarray
    origin_A: np.ndarray
    lattice_A: float
    peaks: int

    @property
    def orientation(self) -> np.ndarray:
        """The rotation (3, 3) of the polar decomposition cell / a = V R: its columns are the cube axes."""
        left, _, right = np.linalg.svd(self.cell)
        return left @ right

    @property
    def strain(self) -> np.ndarray:
        """The symmetric (3, 3) V − 1 in the frame of the volume, against the given lattice constant."""
        strain = self.cell @ self.orientation.T / self.lattice_A - np.eye(3)
        return (strain + strain.T) / 2  # symmetric but for rounding

    def sites(self, volume: Volume, basis: np.ndarray) -> np.ndarray:
        """Return the positions (n, 3) in Å of the sites (m, 3 fractions) inside the particle.

        Inside is where the volume, blurred wider than its atoms, exceeds Otsu's threshold.
        """
        from scipy.ndimage import gaussian_filter, map_coordinates

        reach = float(np.linalg.norm(volume.voxel_A * np.array(volume.data.shape))) / 2
        count = int(np.ceil(reach / np.linalg.svd(self.cell)[1].min())) + 1
        cells = np.array(list(itertools.product(range(-count, count + 1), repeat=3)), dtype=np.float64)
        positions = (cells[:, None, :] + basis).reshape(-1, 3) @ self.cell.T + self.origin_A
        index = volume.grid.indices(positions)
        here = ((index >= 0) & (index <= np.array(volume.data.shape) - 1)).all(axis=1)
        blurred = gaussian_filter(volume.data.astype(np.float32), PARTICLE_BLUR_A / volume.voxel_A, mode="constant")
        inside = map_coordinates(blurred, index[here].T, order=1) > otsu_threshold(blurred)
        return positions[here][inside]


def find_lattice(volume: Volume, lattice_A: float, basis: np.ndarray) -> Lattice | None:
    """Return the lattice of a volume; None where fewer than six independent Bragg peaks fit one.

    basis: (m, 3) fractional coordinates in the cubic cell of the sites that scatter most, all of the cell.
    """
    part = middle(volume)
    peaks = bragg_peaks(spectral_amplitude(part.data, part.voxel_A))
    hkl = reflections(lattice_A, basis, FIT_LIMIT_PER_A)
    best: Fit | None = None
    for orientation in search(peaks, hkl, lattice_A):
        fitted = fit_cell(peaks, hkl, orientation / lattice_A)
        if fitted is not None and (best is None or fitted.score > best.score):
            best = fitted
    if best is None:
        return None
    cell = np.linalg.inv(sharpened(best, peaks, basis)).T
    return Lattice(cell, cell @ shift_of(part, cell, basis), lattice_A, len(best.hkl))


def middle(volume: Volume) -> Volume:
    """Return at most 192 voxels along each axis about the centre (index N//2 stays the centre)."""
    cuts = []
    for count in volume.data.shape:
        side = min(count, MAX_VOXELS)
        cuts.append(slice(count // 2 - side // 2, count // 2 - side // 2 + side))
    return Volume(volume.data[tuple(cuts)], volume.voxel_A)


def reflections(lattice_A: float, basis: np.ndarray, highest_per_A: float) -> np.ndarray:
    """Return the (n, 3) indices hkl, both of each pair, up to a frequency, whose structure factor is strong."""
    most = int(highest_per_A * lattice_A)
    hkl = np.array([h for h in itertools.product(range(-most, most + 1), repeat=3) if any(h)], dtype=np.float64)
    hkl = hkl[np.linalg.norm(hkl, axis=1) <= highest_per_A * lattice_A]
    return hkl[np.abs(np.exp(-2j * np.pi * hkl @ basis.T).mean(axis=1)) > MIN_STRUCTURE_FACTOR]


def orientations(step_deg: float = ORIENTATION_STEP_DEG) -> np.ndarray:
    """Return (n, 3, 3) rotations, none farther than about half a step from any orientation of a cube."""
    from scipy.spatial.transform import Rotation

    edge, step = np.tan(np.pi / 8), np.tan(np.deg2rad(step_deg) / 2)
    axis = np.linspace(-edge, edge, 2 * int(np.ceil(edge / step)) + 1)
    rodrigues = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    rodrigues = rodrigues[np.abs(rodrigues).sum(axis=1) <= 1 + 2 * step]
    return Rotation.from_quat(np.column_stack([rodrigues, np.ones(len(rodrigues))])).as_matrix()


def search(peaks: Peaks, hkl: np.ndarray, lattice_A: float) -> np.ndarray:
    """Return the (5, 3, 3) orientations whose reflections come nearest to peaks, best first; none without peaks."""
    used = np.linalg.norm(peaks.k_per_A, axis=1) < SEARCH_LIMIT_PER_A + PEAK_RADIUS_PER_A
    if not used.any():
        return np.empty((0, 3, 3))
    near = hkl[np.linalg.norm(hkl, axis=1) <= SEARCH_LIMIT_PER_A * lattice_A]
    near = near[[tuple(h) > (0, 0, 0) for h in near]] / lattice_A  # one of each pair
    felt, step = proximity(peaks.k_per_A[used], np.log(peaks.contrast[used]))
    turned, centre = orientations(), len(felt) // 2
    score = np.zeros(len(turned))
    for k in near:
        index = np.rint(turned @ k / step).astype(int) + centre
        score += felt[index[:, 0], index[:, 1], index[:, 2]]
    return turned[np.argsort(-score, kind="stable")[:MAX_CANDIDATES]]


def proximity(k: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, float]:
    """Return a map of frequencies (x, y, z), zero in its middle, and its step.

    A point has the weight of the nearest peak, falling to 0 at the reach.
    """
    step = PEAK_RADIUS_PER_A / 3
    half = int((SEARCH_LIMIT_PER_A + 2 * PEAK_RADIUS_PER_A) / step) + 5
    felt = np.zeros((2 * half + 1,) * 3)
    around = np.array(list(itertools.product(range(-3, 4), repeat=3)))
    for sign in (1, -1):
        nearest = np.rint(sign * k / step).astype(int)
        index = nearest[:, None] + around
        distance = np.linalg.norm(index * step - sign * k[:, None], axis=2)
        value = weight[:, None] * np.maximum(0.0, 1 - distance / PEAK_RADIUS_PER_A)
        np.maximum.at(felt, tuple(np.moveaxis(index + half, -1, 0)), value)
    return felt, step


@dataclass(frozen=True)
class Fit:
    """reciprocal: B (3, 3) of k = B h, fitted to reflections hkl (n, 3), one of each pair, which are the peaks `index` (n,).

    score: how well.
    """

    reciprocal: np.ndarray
    hkl: np.ndarray
    index: np.ndarray
    score: float


def fit_cell(peaks: Peaks, hkl: np.ndarray, start: np.ndarray) -> Fit | None:
    """Return the least-squares fit that begins at a B (3, 3), or None where too few peaks fit. `hkl` holds both of each pair."""
    from scipy.spatial import cKDTree

    tree, reciprocal = cKDTree(peaks.k_per_A), start
    for highest, farthest in FIT_SCHEDULE:
        predicted = hkl @ reciprocal.T
        some = np.linalg.norm(predicted, axis=1) <= highest
        nearest = tree.query(predicted[some], distance_upper_bound=farthest)
        found = np.isfinite(np.asarray(nearest[0]))
        h, index = hkl[some][found], np.asarray(nearest[1])[found]
        spread = np.linalg.svd(h, compute_uv=False) if len(h) else np.zeros(3)
        if len(h) < MIN_PEAKS or spread[-1] < 0.1 * spread[0]:
            return None
        reciprocal = np.linalg.lstsq(h, peaks.k_per_A[index], rcond=None)[0].T
    return Fit(reciprocal, h, index, float(np.log(peaks.contrast[index]).sum()))


def sharpened(fit: Fit, peaks: Peaks, basis: np.ndarray) -> np.ndarray:
    """Return B without the bias of atoms that are no points: their spectrum exp(−β k²) pulls peaks inwards, by 2β s² k.

    s² is the variance of a peak by the shape of the particle, β that of the fitted peaks' amplitudes over their structure factors.
    """
    k = peaks.k_per_A[fit.index]
    structure = np.abs(np.exp(-2j * np.pi * fit.hkl @ basis.T).mean(axis=1))
    beta = -np.polyfit((k**2).sum(axis=1), np.log(peaks.amplitude[fit.index] / structure), 1)[0]
    corrected = k * (1 + 2 * beta * peaks.variance_per_A2[fit.index])
    return np.linalg.lstsq(fit.hkl, corrected, rcond=None)[0].T


def shift_of(volume: Volume, cell: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return the origin (3,) of the cell, in fractions of it, that puts the sites on the highest density of the averaged cell."""
    from scipy.ndimage import gaussian_filter

    count = np.maximum(8, np.rint(np.linalg.norm(cell, axis=0) / CELL_STEP_A).astype(int))
    average = averaged_cell(volume, cell, count)
    frequency = np.stack(np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in count), indexing="ij"), axis=-1)
    structure = np.exp(2j * np.pi * frequency @ basis.T).sum(axis=-1)
    total = np.fft.ifftn(np.fft.fftn(average) * structure).real
    total = gaussian_filter(total, SITE_SIGMA_A / CELL_STEP_A, mode="wrap")
    top = np.array(np.unravel_index(total.argmax(), total.shape))
    offset = np.zeros(3)
    for axis in range(3):
        below, here, above = (total[tuple((top + d * np.eye(3, dtype=int)[axis]) % count)] for d in (-1, 0, 1))
        curvature = below - 2 * here + above
        offset[axis] = 0.5 * (below - above) / curvature if curvature < 0 else 0.0
    return (top + offset) / count


def averaged_cell(volume: Volume, cell: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return the mean density on `count` points along each cell vector, voxels weighted by a Hann window about the centre."""
    inverse = np.linalg.inv(cell)
    z, y, x = (volume.voxel_A * (np.arange(n) - n // 2) for n in volume.data.shape)
    wz, wy, wx = (hann(n) for n in volume.data.shape)
    weight = (wz[:, None, None] * wy[:, None] * wx).ravel()
    index = np.zeros(volume.data.shape, np.int64)
    for row, n in zip(inverse, count, strict=True):
        fraction = (row[2] * z)[:, None, None] + (row[1] * y)[:, None] + row[0] * x
        index = index * n + np.rint(fraction * n).astype(np.int64) % n
    flat, size = index.ravel(), int(np.prod(count))
    total, weights = (np.bincount(flat, value, size) for value in (weight * volume.data.ravel(), weight))
    average = np.divide(total, weights, out=np.full(size, total.sum() / weights.sum()), where=weights > 0)
    return average.reshape(tuple(count))


def misorientation_deg(a: np.ndarray, b: np.ndarray) -> float:
    """Return the smallest angle between two orientations (3, 3) of a cube."""
    traces = np.einsum("ij,nij->n", b.T @ a, cube_rotations())
    return float(np.rad2deg(np.arccos(np.clip((traces.max() - 1) / 2, -1, 1))))


def cube_rotations() -> np.ndarray:
    """Return the (24, 3, 3) rotations of a cube."""
    signed = [
        np.diag(signs)[list(order)]
        for order in itertools.permutations(range(3))
        for signs in itertools.product((1.0, -1.0), repeat=3)
    ]
    return np.array([matrix for matrix in signed if np.linalg.det(matrix) > 0])
