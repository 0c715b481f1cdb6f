"""Which sites of a crystal hold an atom in a volume: from each site uphill to a maximum.

After Romanov et al., J. Phys. Mater. 8 (2025) 015005 (arXiv:2311.02580), who climbed from the sites of a registered
lattice where tracing peak by peak was unstable. The volume is smoothed; from the voxel nearest a site one goes to the neighbour (of
26) in the steepest direction until none is higher, and to the vertex of a parabola along each axis. A site is missing if

    shared  another site nearer to the same maximum leads to it,
    far     the maximum is farther than a bound (half the distance of neighbouring sites), or outside the volume,
    weak    its height above the background is less than 0.3 of the median of all that are left.

The background is the median of the smoothed volume within the bound of any site.

Noise has maxima everywhere: in a volume of nothing else (0.4 Å voxels) three quarters of a spinel's cations are "found", a third of
the bound off along each axis and two thirds altogether. The number of sites says nothing without the displacements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from benchsuite.columns import Column
from benchsuite.contract.metric import Metric, Scored
from benchsuite.data import Volume, particle_of
from benchsuite.metrics.composition import SHARE
from benchsuite.metrics.positions import POSITION
from benchsuite.metrics.tracing.gaussians import cube_offsets
from benchsuite.metrics.tracing.peak_fit import parabola, windows
from benchsuite.params import Params

BLUR_A = 0.4
MIN_RELATIVE_HEIGHT = 0.3
SITES_AT_A_TIME = 1 << 16  # sites at a time
BACKGROUND_SITES = 4096  # sites are enough
FIGURE = "spectral_amplitude"  # with which a scenario asks for these scores in its summary


class SitesFound(Metric[Params]):
    title = "Crystal sites that hold an atom in the volume"
    reference = "Romanov et al. (2025), arXiv:2311.02580"
    default = True
    order = 32
    columns = (
        Column(
            "sites_found_<El>_pct", "Sites of <El> found", "%", "higher", SHARE, "detail",
            "True <El> sites whose steepest-ascent path ends at a maximum claimed by no nearer site", FIGURE,
        ),
        Column(
            "site_displacement_pm", "Site displacement", "pm", "lower", POSITION, "detail",
            "Mean distance from found sites to their maxima", FIGURE,
        ),
        Column(
            "site_displacement_<axis>_pm", "Site displacement along <axis>", "pm", role="detail",
            description="Mean absolute component along <axis> of the displacements from found sites to their maxima",
        ),
    )  # fmt: skip

    def measure(self, scored: Scored) -> Mapping[str, float]:
        if scored.volume is None or scored.truth is None or scored.specimen is None:
            return {}
        return site_scores(scored.volume, particle_of(scored.specimen), scored.shift_A)


def site_scores(volume: Volume, particle: Atoms, shift_A: np.ndarray) -> dict[str, float]:
    """Return how many true sites lead to an atom of their own, by element, and how far it is, in the mean.

    Sites are those of `crystal_element`, where the specimen names one, or else of all atoms.
    """
    symbols = np.array(particle.get_chemical_symbols(), dtype=str)
    chosen = symbols == particle.info.get("crystal_element", symbols)
    sites = find_sites(volume, particle.positions[chosen] + shift_A)
    elements = sorted(set(symbols[chosen].tolist()))
    scores = {f"sites_found_{el}_pct": 100 * float(sites.found[symbols[chosen] == el].mean()) for el in elements}
    moved = 100 * sites.displacement_A[sites.found]
    per_axis = np.abs(moved).mean(axis=0) if len(moved) else np.full(3, np.nan)
    scores |= {f"site_displacement_{axis}_pm": float(mean) for axis, mean in zip("xyz", per_axis, strict=True)}
    return scores | {"site_displacement_pm": float(np.linalg.norm(moved, axis=1).mean()) if len(moved) else float("nan")}


@dataclass(frozen=True)
class Sites:
    """outcome: (n,) "found", "shared", "far" or "weak". displacement_A: (n, 3) maximum − site, nan where missing. bound_A: used."""

    outcome: np.ndarray
    displacement_A: np.ndarray
    bound_A: float

    @property
    def found(self) -> np.ndarray:
        """(n,) bool."""
        return self.outcome == "found"


def find_sites(
    volume: Volume,
    positions: np.ndarray,
    *,
    bound_A: float | None = None,
    level: float = MIN_RELATIVE_HEIGHT,
    blur_A: float = BLUR_A,
) -> Sites:
    """Judge sites at positions (n, 3) in Å by the rules above."""
    from scipy.ndimage import gaussian_filter

    bound = half_distance(positions) if bound_A is None else bound_A
    data = gaussian_filter(volume.data.astype(np.float32), blur_A / volume.voxel_A, mode="nearest")
    index = volume.grid.indices(positions)
    inside = ((index >= 0) & (index <= np.array(data.shape) - 1)).all(axis=1)
    start = np.rint(index).astype(np.int64).clip(0, np.array(data.shape) - 1)
    tops = climb(data, start)
    displacement = volume.grid.positions(parabola(data, tops)) - positions
    distance = np.where(inside, np.linalg.norm(displacement, axis=1), np.inf)
    height = data[tuple(tops.T)].astype(np.float64)
    outcome = np.full(len(positions), "found", dtype="U6")
    outcome[shared(tops, distance)] = "shared"
    outcome[distance > bound] = "far"
    left = outcome == "found"
    if left.any():
        background = around(data, start[inside], bound / volume.voxel_A)
        outcome[left & (height <= background + level * (np.median(height[left]) - background))] = "weak"
    return Sites(outcome, np.where((outcome == "found")[:, None], displacement, np.nan), bound)


def half_distance(positions: np.ndarray) -> float:
    """Return half the median distance of nearest neighbours in Å; infinite for a single site."""
    from scipy.spatial import cKDTree

    return 0.5 * float(np.median(np.asarray(cKDTree(positions).query(positions, k=2)[0])[:, 1])) if len(positions) > 1 else np.inf


def climb(data: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    """Return the (n, 3) voxels of the local maxima to which the steepest ascent over 26 neighbours leads from voxels (n, 3)."""
    parts = [_climb(data, voxels[start : start + SITES_AT_A_TIME]) for start in range(0, len(voxels), SITES_AT_A_TIME)]
    return np.concatenate(parts) if parts else voxels


def _climb(data: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    offsets = cube_offsets(1)
    offsets = offsets[np.any(offsets != 0, axis=1)]
    length = np.linalg.norm(offsets, axis=1)
    here, moving = voxels.copy(), np.arange(len(voxels))
    while len(moving):
        slope = (windows(data, here[moving], offsets) - data[tuple(here[moving].T)][:, None]) / length
        best = slope.argmax(axis=1)
        up = slope[np.arange(len(moving)), best] > 0
        moving, best = moving[up], best[up]
        here[moving] = (here[moving] + offsets[best]).clip(0, np.array(data.shape) - 1)
    return here


def shared(tops: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Return the mask (n,) of sites whose maximum another, nearer site leads to (of equally near ones the first has it)."""
    order = np.argsort(distance, kind="stable")
    _, first = np.unique(tops[order], axis=0, return_index=True)
    mask = np.ones(len(tops), dtype=bool)
    mask[order[first]] = False
    return mask


def around(data: np.ndarray, voxels: np.ndarray, radius: float) -> float:
    """Return the median of the values within a radius (voxels) of any of the voxels (n, 3)."""
    offsets = cube_offsets(int(np.ceil(min(radius, max(data.shape)))))
    offsets = offsets[(offsets**2).sum(axis=1) <= radius**2]
    return float(np.median(windows(data, voxels[:: -(-len(voxels) // BACKGROUND_SITES)], offsets)))
