"""Diffraction patterns of atoms: sliced potential, multislice kernel and loss put together, image by image.

Two passes over all images give all that a fit needs: `slopes`, the gradient of the loss with respect to the phase of the slices,
and `random_slopes`, whose second moments are the Fisher information (`information`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from benchsuite.data import Grid, TiltSeries
from benchsuite.physics.backend import Array
from benchsuite.physics.gaussians.atoms import Orbitals, View
from benchsuite.physics.gaussians.fisher import Information
from benchsuite.physics.gaussians.shapes import Shape
from benchsuite.physics.gaussians.sliced_potential import SlicedAtoms, SlicedPotential
from benchsuite.physics.multislice.noise_model import Loss
from benchsuite.physics.multislice.objective import EndGradients, Objective
from benchsuite.physics.multislice.series_model import Discretisation, SeriesModel
from benchsuite.physics.multislice.waves import Ends

POISSON_FLOOR = 1e-3  # electrons per pixel: few atoms need no bound on what dark pixels tell, which at low dose is a quarter
SIGN_AMPLITUDE = 1e3  # of the random residuals, beside which amplitudes of 1 and less are nothing


@dataclass(frozen=True)
class Evaluation:
    """The loss of a probe on average, ∂L/∂(x, y, z, W, B) of every image (images, n, 5) and of its view
    (images, 5), of the loss summed over all probes.
    """

    loss: float
    by_atom: np.ndarray
    by_view: np.ndarray


class PatternModel:
    """The patterns of a series as a function of atoms. `finer`: pixels of the wave along a voxel of the grid.

    shapes: those that atoms may have; `shape_index` (n,) in all methods say which, None the first.
    """

    def __init__(
        self,
        series: TiltSeries,
        grid: Grid,
        shapes: Sequence[Shape],
        slice_A: float,
        finer: int = 1,
        window_A: float | None = None,
        loss: Loss = "auto",
        xp: ModuleType = np,
        threads: int = 1,
    ) -> None:
        nz, ny, nx = (finer * side for side in grid.shape)
        grid = Grid((nz, ny, nx), grid.voxel_A / finer)
        self.shapes = shapes
        self.forward = SeriesModel(series, grid, Discretisation(slice_A, window_A), xp, threads)
        self.objective = Objective(self.forward, loss, POISSON_FLOOR)
        self.potential = SlicedPotential((ny, nx), grid.voxel_A, self.forward.edges_A, xp, threads)
        tilts, foci = series.data.shape[:2]
        self.images = [(tilt, focus) for tilt in range(tilts) for focus in range(foci)]

    @property
    def curvature(self) -> float:
        """The curvature of the loss where it is least, in units of the Fisher information of one electron per position."""
        return self.objective.noise.curvature

    def sliced(self, atoms: Orbitals, view: View, shape_index: np.ndarray | None = None) -> SlicedAtoms:
        """Return the atoms as one view slices them."""
        return self.potential.sliced(atoms, view, self.shapes, shape_index)

    def transmission(self, sliced: SlicedAtoms) -> Array:
        """Return the transmission functions of the slices, with vacuum round them."""
        return self.forward.kernel.transmission(self.potential.phase(sliced))

    def slopes(
        self, atoms: Orbitals, views: Sequence[View], shape_index: np.ndarray | None = None, ends: Ends = "none"
    ) -> Iterator[tuple[int, SlicedAtoms, float, Array, EndGradients | None]]:
        """Yield for every image its number, the atoms as it sees them, its loss, ∂L/∂φ of the slices, and that at both ends."""
        for number, ((tilt, focus), view) in enumerate(zip(self.images, views, strict=True)):
            sliced = self.sliced(atoms, view, shape_index)
            every = slice(0, self.forward.probe_count)
            loss, slope, found = self.objective(tilt, focus, self.transmission(sliced), every, ends)
            yield number, sliced, loss, self.forward.waves.unpadded(slope), found

    def random_slopes(
        self, atoms: Orbitals, views: Sequence[View], rng: np.random.Generator, along: int, shape_index: np.ndarray | None = None
    ) -> Iterator[tuple[int, SlicedAtoms, Array]]:
        """Yield for every image, and each of `along`² groups of its probes, Σ ± ∂(2√I)/∂φ with a random sign for every pixel.

        The mean of their outer products is the Fisher information of one electron per position: the signs make an estimate, as
        Hutchinson's of a trace, of Σ 4 ∂√I ∂√Iᵀ = Σ ∂I ∂Iᵀ/I. The probes of a group lie evenly over the scan.
        """
        model = self.forward
        down, across = np.divmod(np.arange(model.probe_count), model.series.scan_shape[1])
        groups = (down % along) * along + across % along
        for number, ((tilt, focus), view) in enumerate(zip(self.images, views, strict=True)):
            sliced = self.sliced(atoms, view, shape_index)
            transmission = self.transmission(sliced)
            for group in range(along**2):
                probes = np.flatnonzero(groups == group)
                if len(probes) == 0:
                    continue
                signs = rng.integers(0, 2, (len(probes), *model.waves.detector), dtype=np.int8)
                residual = model.xp.asarray((2 * SIGN_AMPLITUDE * signs - SIGN_AMPLITUDE).astype(np.float32))
                origins, waves = model.probes(tilt, focus, probes)
                waves = waves.scaled(self.objective.intensity_scales[tilt, focus])
                _, slope, _ = model.kernel.gradient(transmission, origins, waves, residual)
                yield number, sliced, model.waves.unpadded(slope) / np.float32(SIGN_AMPLITUDE)

    def evaluate(self, atoms: Orbitals, views: Sequence[View], shape_index: np.ndarray | None = None) -> Evaluation:
        """Return loss and gradient of all images."""
        total, by_atom, by_view = 0.0, np.empty((len(views), len(atoms), 5)), np.empty((len(views), 5))
        for number, sliced, loss, slope, _ in self.slopes(atoms, views, shape_index):
            total += loss
            by_atom[number], by_view[number] = self.potential.gradient(sliced, slope)
        return Evaluation(total / (self.forward.probe_count * len(views)), by_atom, by_view)

    def information(
        self,
        atoms: Orbitals,
        views: Sequence[View],
        rng: np.random.Generator,
        along: int = 2,
        shape_index: np.ndarray | None = None,
    ) -> Information:
        """Return the Fisher information of one electron per position; what atoms share is left out.

        An unbiased estimate, which scatters by about √(2/k) of itself for an atom that k groups of probes tell of: at most
        `along`² in each image, and fewer where each atom is reached by few probes.
        """
        blocks, by_image, of_views = np.zeros((len(atoms), 5, 5)), np.zeros((len(views), len(atoms), 5)), np.zeros((len(views), 5))
        for number, sliced, slope in self.random_slopes(atoms, views, rng, along, shape_index):
            by_atom, by_view = self.potential.gradient(sliced, slope)
            blocks += by_atom[:, :, None] * by_atom[:, None, :]
            by_image[number] += by_atom**2
            of_views[number] += by_view**2
        return Information(blocks, by_image, of_views)

    def r_factors(self, atoms: Orbitals, views: Sequence[View], shape_index: np.ndarray | None = None) -> np.ndarray:
        """Return Σ|I − I_calc| / ΣI of each tilt (tilts,)."""
        wrong, all_of_it = np.zeros((2, len(self.forward.series.rotations)))
        for (tilt, focus), view in zip(self.images, views, strict=True):
            measured = self.forward.measured(tilt, focus)
            scale = float(self.objective.intensity_scales[tilt, focus])
            found = self.forward.through(tilt, focus, self.transmission(self.sliced(atoms, view, shape_index)), scale)
            wrong[tilt] += float(abs(found - measured).sum(dtype=np.float64))
            all_of_it[tilt] += float(measured.sum(dtype=np.float64))
        return np.divide(wrong, all_of_it, out=np.zeros_like(wrong), where=all_of_it > 0)
