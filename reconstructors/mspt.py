"""MSPT: the tomography that ends sequential multislice ptychographic tomography, of projected phases to a volume.

    minimise  f(U) = ½ Σ_θ ‖A_θ G U − b_θ‖²   over U ≥ 0,      V = G U

with the exact adjoint pair of `projection` and G a Gaussian of standard deviation `blur_A`: atoms are smooth, so V is made of
smooth blobs. Two updates:

    accelerated  projected gradient with momentum, as in RESIRE
    paper        Adam's steps on V itself, each followed by max(0, ·) and by G: blurred a hundred times, V stays blurred

The series is preprocessed first: ptychography tilt by tilt (`msp`), scaling, denoising, alignment (`preprocess:` in a scenario).

A. Romanov, M. Cho, M. Scott, P. Pelz, J. Phys. Mater. 8 (2025) 015005, sec. 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from benchsuite.contract.algorithm import Context
from benchsuite.contract.plug import Cost
from benchsuite.contract.reconstructor import Iterate, Reconstructor
from benchsuite.data import Grid, Modality, TiltSeries
from benchsuite.params import Count, NonNegative, Params, Positive
from benchsuite.physics.backend import Array, ndimage_module
from benchsuite.physics.projection.projector import Projector
from benchsuite.reconstructors.checks import projections, projector_of, reason_to_skip
from benchsuite.reconstructors.costs import BLURRED_DESCENT_S, PROJECTION_S
from benchsuite.reconstructors.solvers.adam import Adam, Rates
from benchsuite.reconstructors.solvers.fista import FISTA, half_square, largest_eigenvalue

RATES = Rates(momentum=0.9, memory=0.999, damping=1e-3)
TRUNCATION_SIGMAS = 4.0  # standard deviations at which the Gaussian ends


class MSPTParams(Params):
    iterations: Count = Field(100, description="Number of iterations; accelerated: 60 to 200, paper: 300")
    blur_A: NonNegative = Field(
        0.2, description="Standard deviation of the blobs (accelerated), or of the blur after every iteration (paper)"
    )
    update: Literal["accelerated", "paper"] = Field(
        "accelerated", description="Projected gradient with momentum (accelerated), or Adam (paper)"
    )
    step: Positive = Field(0.1, description="Adam's step, relative to the mean density along the brightest projection line")


class MSPT(Reconstructor[MSPTParams]):
    """Least squares on smooth blobs with positivity, for phases; V is a potential up to the interaction constant, in rad/Å."""

    Params: ClassVar[type[Params]] = MSPTParams
    modalities: ClassVar[tuple[Modality, ...]] = ("phase",)
    title = "MSPT: sequential multislice ptychographic tomography"
    reference = "Romanov et al., J. Phys. Mater. 8 (2025) 015005"

    def accepts(self, series: TiltSeries) -> str | None:
        if series.modality == "4dstem":
            return "MSPT takes phases: give it steps that find them, such as preprocess: [msp]"
        if len(series.data) < 2:
            return f"MSPT needs a tilt series, this one has {len(series.data)} tilt; for one view there is msp"
        return super().accepts(series) or reason_to_skip("MSPT", series)

    def reconstruct(self, series: TiltSeries, context: Context) -> Iterator[Iterate]:
        measured = projections(series, context.xp)
        projector = projector_of(series, context)
        blobs = Blobs(projector, self.params.blur_A)
        volume = context.xp.zeros(context.grid.shape, dtype=np.float32)
        if self.params.update == "paper":
            yield from self._adam(blobs, measured, volume)
            return
        solver = FISTA(blobs, measured, volume, 1.0 / largest_eigenvalue(blobs, volume.shape))
        if context.resumed is not None:
            solver.resume(context.resumed)
        while solver.iteration < self.params.iterations:
            loss = solver.advance()
            yield Iterate(solver.iteration, loss, volume=blobs.blurred(solver.x), state=solver.snapshot())

    def _adam(self, blobs: Blobs, measured: Array, volume: Array) -> Iterator[Iterate]:
        xp, projector = blobs.xp, blobs.projector
        depth = projector.grid.voxel_A * projector.grid.shape[0]
        step = np.float32(self.params.step * float(measured.max()) / depth)
        adam = Adam(RATES, volume)
        residual = projector.forward(volume) - measured
        for iteration in range(1, self.params.iterations + 1):
            mean, scale, correction = adam.update(projector.adjoint(residual))
            volume = blobs.blurred(xp.maximum(volume - step / np.float32(correction) * mean / scale, 0))
            residual = projector.forward(volume) - measured
            yield Iterate(iteration, half_square(residual), volume=volume)

    def cost(self, series_shape: tuple[int, ...], grid: Grid) -> Cost:
        voxels = float(math.prod(grid.shape))
        per_iteration = PROJECTION_S * voxels * series_shape[0] + BLURRED_DESCENT_S * voxels
        return Cost((self.params.iterations + 3) * per_iteration, 4 * (12 * voxels + 8 * float(math.prod(series_shape))) + 2e8)


class Blobs:
    """The projector of a volume that is given by the weights of Gaussian blobs, and its adjoint."""

    def __init__(self, projector: Projector, sigma_A: float) -> None:
        self.projector, self.xp = projector, projector.xp
        self.sigma = sigma_A / projector.grid.voxel_A

    def blurred(self, volume: Array) -> Array:
        """Return G V, float32; the Gaussian is symmetric and ends in zeros, so it is its own adjoint."""
        if self.sigma == 0:
            return volume
        return ndimage_module(self.xp).gaussian_filter(volume, self.sigma, mode="constant", truncate=TRUNCATION_SIGMAS)

    def forward(self, weights: Array) -> Array:
        """Return the images (n_tilt, ny, nx) of weights (nz, ny, nx)."""
        return self.projector.forward(self.blurred(weights))

    def adjoint(self, images: Array) -> Array:
        """Return the weights (nz, ny, nx) that the adjoint makes of images."""
        return self.blurred(self.projector.adjoint(images))
