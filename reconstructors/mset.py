"""MSET and SSET: multislice (single-slice) electron tomography from 4D-STEM tilt series.

    minimise  Σ_tilts Σ_probes L(|Ψ(V)|², I)   over V ≥ 0

with the model of `multislice.forward_model`, V the potential in V. L is the squared distance of the amplitudes, as in the paper, or
the Poisson likelihood, which stays unbiased where a pixel counts less than an electron (default where the series has a dose).
Two updates, both from V = 0:

    adaptive  after every batch of probes, the gradient with respect to the one unrotated volume, with momentum and a diagonal
              preconditioner (Adam); tilts in random order, steps that decay from iteration to iteration
    paper     the volume is turned to a tilt without loss, changed after every batch of probes in raster order, and turned back;
              after every iteration the error is evaluated: unless it fell, it is undone, the step divided by ten (`LineSearch`)

The paper sets the intensity of the probes, tilt by tilt, to what the patterns hold on average: electrons scattered beyond the
camera are missing there, but not in the model. So do both updates.

J. Lee, M. Lee, Y. Park, C. Ophus, Y. Yang, Phys. Rev. Applied 19 (2023) 054062, doi:10.1103/PhysRevApplied.19.054062.
D. Kingma, J. Ba, ICLR (2015), arXiv:1412.6980 (Adam).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from benchsuite.contract.algorithm import Context
from benchsuite.contract.plug import Cost
from benchsuite.contract.reconstructor import Iterate, Reconstructor
from benchsuite.data import Fit, Grid, Modality, TiltSeries
from benchsuite.params import Count, NonNegative, Params, Positive
from benchsuite.physics.backend import Array
from benchsuite.physics.multislice.noise_model import Loss
from benchsuite.physics.multislice.objective import Objective, pattern_fit
from benchsuite.physics.multislice.series_model import Discretisation, SeriesModel
from benchsuite.physics.multislice.sliced_view import Interpolation
from benchsuite.physics.multislice.waves import window_pixels
from benchsuite.reconstructors.checks import reason_to_skip_patterns
from benchsuite.reconstructors.costs import TRANSFORM_S, VOLUME_STEP_S, multislice_pixels
from benchsuite.reconstructors.line_search import LineSearch
from benchsuite.reconstructors.ptychography.refinement import Refinement
from benchsuite.reconstructors.regularisers import TotalVariation
from benchsuite.reconstructors.solvers.adam import Adam, Rates

RATES = Rates(momentum=0.95, memory=0.99, damping=1e-2)
SMOOTH_BELOW_V = 30.0  # change from voxel to voxel below which total variation is smooth
REFINE_FROM = 3  # iteration from which probe and positions may follow


class SSETParams(Params):
    iterations: Count = Field(14, description="Iterations over all tilts")
    update: Literal["adaptive", "paper"] = Field(
        "adaptive", description="Preconditioned momentum (adaptive), or the paper's line search"
    )
    loss: Loss = Field("auto", description="Loss of the patterns; auto: Poisson if the series has a dose")
    step_V: Positive = Field(30.0, description="Adaptive: change of a voxel per step in the first iteration")
    paper_step: Positive = Field(1.0, description="Paper: initial step, relative to the largest stable step of a single probe")
    decay: float = Field(0.8, gt=0, le=1, description="Adaptive: factor of the step from iteration to iteration")
    batch: Count | None = Field(
        None, description="Probes per update; default: all of an image (adaptive), 16 (paper, which uses 1)"
    )
    window_A: Positive | None = Field(None, description="Side of the probe window; default: the whole field")
    interpolation: Interpolation = Field("cubic", description="Adaptive: interpolation of the volume between voxels")
    support: Literal["seen", "all"] = Field(
        "seen", description="Voxels that may differ from zero: those inside the volume at every tilt (seen), or all"
    )
    total_variation: NonNegative = Field(
        0.1, description="Adaptive: weight of the total variation, relative to the RMS of the data gradient; 0: none"
    )
    refine_probe: bool = Field(False, description="Adaptive: refine the aperture function")
    refine_positions: bool = Field(False, description="Adaptive: refine the probe positions")


class MSETParams(SSETParams):
    slice_A: Positive = Field(1.6, description="Largest slice thickness; one voxel in the paper")


class SSET(Reconstructor[SSETParams]):
    """Tomography from diffraction patterns with one transmission through the projected potential."""

    Params: ClassVar[type[Params]] = SSETParams
    modalities: ClassVar[tuple[Modality, ...]] = ("4dstem",)
    title = "SSET: single-slice electron tomography from 4D-STEM"
    reference = "Lee et al., Phys. Rev. Applied 19 (2023) 054062, doi:10.1103/PhysRevApplied.19.054062"

    def slice_A(self) -> float:
        return math.inf

    def accepts(self, series: TiltSeries) -> str | None:
        return reason_to_skip_patterns(type(self).__name__, series)

    def reconstruct(self, series: TiltSeries, context: Context) -> Iterator[Iterate]:
        p = self.params
        how = Discretisation(self.slice_A(), p.window_A, "linear" if p.update == "paper" else p.interpolation)
        model = SeriesModel(series, context.grid, how, context.xp, context.threads)
        solver = LineSearch(model, p) if p.update == "paper" else Adaptive(model, p, context)
        return solver.run(context)

    def cost(self, series_shape: tuple[int, ...], grid: Grid) -> Cost:
        if len(series_shape) != 6:
            return super().cost(series_shape, grid)  # a series that `accepts` refuses
        tilts, foci, ny, nx, qy, qx = series_shape
        slices = max(1, math.ceil(grid.shape[0] * grid.voxel_A / self.slice_A() - 1e-6))
        passes = self.params.iterations * (1.5 if self.params.update == "paper" else 1.0) + 0.5
        transforms = multislice_pixels(slices, self.params.window_A, grid.voxel_A, max(qy, qx))
        probes = tilts * foci * ny * nx
        voxels = float(math.prod(grid.shape))
        batches = max(1.0, ny * nx / (self.params.batch or ny * nx))
        seconds = passes * (TRANSFORM_S * probes * transforms + VOLUME_STEP_S * tilts * foci * batches * voxels)
        window = window_pixels(self.params.window_A, grid.voxel_A, max(qy, qx))
        padded = slices * (grid.shape[1] + window) * (grid.shape[2] + window)
        patterns = 4.0 * ny * nx * qy * qx
        return Cost(
            2.0 + seconds,
            2e7 + 10 * 4 * voxels + 60.0 * padded + 4.5 * patterns + 110.0 * tilts * grid.shape[0] * grid.shape[2],
        )


class MSET(SSET):
    """Tomography from diffraction patterns with the multislice model; `slice_A` sets the slices."""

    Params = MSETParams
    title = "MSET: multislice electron tomography from 4D-STEM"

    def slice_A(self) -> float:
        return float(self.params.slice_A)  # type: ignore[attr-defined]


class Adaptive:
    """Adam on the unrotated volume, one step per batch of probes, images in random order."""

    def __init__(self, model: SeriesModel, params: SSETParams, context: Context) -> None:
        self.model, self.params = model, params
        self.objective = Objective(model, params.loss)
        self.refinement = Refinement(self.objective, params.refine_probe, params.refine_positions)
        tilts, foci = model.series.data.shape[:2]
        images = [(tilt, focus) for tilt in range(tilts) for focus in range(foci)]
        self.order = [[images[i] for i in context.rng.permutation(len(images))] for _ in range(params.iterations)]
        self.phase = model.xp.zeros(context.grid.shape, np.float32)
        self.adam = Adam(RATES, self.phase)
        self.total_variation = TotalVariation(SMOOTH_BELOW_V * model.sigma)
        self.support = model.seen_in_every_view() if params.support == "seen" else None

    def run(self, context: Context) -> Iterator[Iterate]:
        first = self._resume(context.resumed)
        for iteration in range(first, self.params.iterations):
            loss = sum(self._image(iteration, tilt, focus) for tilt, focus in self.order[iteration])
            count = self.model.probe_count * len(self.order[iteration])
            last = iteration == self.params.iterations - 1
            yield Iterate(
                iteration + 1, loss / count, self.phase / np.float32(self.model.sigma), fit=self._fit() if last else Fit(),
                state=self._snapshot(iteration + 1),
            )  # fmt: skip

    def _image(self, iteration: int, tilt: int, focus: int) -> float:
        """One pass over the probes of an image; returns their summed loss."""
        model, size = self.model, self.params.batch or self.model.probe_count
        refining = iteration + 1 >= REFINE_FROM and self.refinement.wanted
        total = 0.0
        for start in range(0, model.probe_count, size):
            some = slice(start, min(start + size, model.probe_count))
            transmission = model.transmission(tilt, self.phase)
            loss, gradient, ends = self.objective(tilt, focus, transmission, some, self.refinement.ends if refining else "none")
            total += loss
            self._step(model.views[tilt].adjoint(model.waves.unpadded(gradient)), iteration)
            if refining and ends is not None:
                self.refinement.follow(tilt, focus, some, ends, self.params.decay ** (iteration + 1 - REFINE_FROM))
        return total

    def _step(self, gradient: Array, iteration: int) -> None:
        if self.params.total_variation and self.adam.count:
            strength = self.params.total_variation * float(self.adam.rms())
            gradient = gradient + np.float32(strength) * self.total_variation.gradient(self.phase)
        if self.support is not None:
            gradient = gradient * self.support
        mean, scale, correction = self.adam.update(gradient)
        step = self.params.step_V * self.model.sigma * self.params.decay**iteration / correction
        self.phase = self.model.xp.maximum(self.phase - np.float32(step) * mean / scale, 0)

    def _fit(self) -> Fit:
        return pattern_fit(self.objective, lambda tilt: self.model.transmission(tilt, self.phase))

    def _snapshot(self, iterations: int) -> dict[str, Array]:
        arrays = {"phase": self.phase, **self.adam.snapshot("phase"), **self.refinement.snapshot()}
        return {**arrays, "iterations": np.array(iterations)}

    def _resume(self, saved: Mapping[str, np.ndarray] | None) -> int:
        if saved is None:
            return 0
        self.phase = self.model.xp.asarray(saved["phase"])
        self.adam.resume(saved, "phase")
        self.refinement.resume(saved)
        return int(saved["iterations"])
