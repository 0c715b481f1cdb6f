"""MSET and SSET: multislice (single-slice) electron tomography from 4D-STEM tilt series.

    minimise  Σ_tilts Σ_probes L(|Ψ(V)|², I)   over V ≥ 0

with the model of `multislice.forward_model`, V the potential in V. L is the squared distance of the amplitudes, as in the paper, or
the Poisson likelihood, which stays unbiased where a pixel counts less than an electron (default where the series has a dose).
Two updates, both from V = 0:

    adaptive  after every batch of probes, the gradient with respect to the one unrotated volume, with momentum and a diagonal
              preconditioner (Adam); tilts in random order, steps that decay from sweep to sweep
    paper     the volume is turned to a tilt without loss, changed after every batch of probes in raster order, and turned back;
              after every sweep the error is evaluated: unless it fell, the sweep is undone and the step divided by ten

The paper sets the energy of the probes, tilt by tilt, to what the patterns hold on average: electrons scattered beyond the camera
are missing there, but not in the model. So do both updates.

J. Lee, M. Lee, Y. Park, C. Ophus, Y. Yang, Phys. Rev. Applied 19 (2023) 054062, doi:10.1103/PhysRevApplied.19.054062.
D. Kingma, J. Ba, ICLR (2015), arXiv:1412.6980 (Adam). L. Rudin, S. Osher, E. Fatemi, Physica D 60 (1992) 259 (total variation).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from benchsuite.contract.algorithm import Context
from benchsuite.contract.cost import Cost
from benchsuite.contract.reconstructor import Iterate, Reconstructor
from benchsuite.data import Fit, Grid, Modality, TiltSeries
from benchsuite.params import Count, NonNegative, Params, Positive
from benchsuite.physics.backend import Array, get_array_module
from benchsuite.physics.multislice.objective import Loss, Objective, pattern_fit
from benchsuite.physics.multislice.series_model import Discretisation, SeriesModel, reason_to_skip
from benchsuite.physics.multislice.sliced_view import Interpolation, sheared
from benchsuite.physics.multislice.waves import window_pixels
from benchsuite.reconstructors.ptychography.refinement import Refinement
from benchsuite.reconstructors.solvers.adam import Adam, Rates

RATES = Rates(momentum=0.95, memory=0.99, damping=1e-2)
BACKTRACKING, SMALLEST_STEP = 0.1, 1e-5  # ρ of the paper, and where it stops
TV_EDGE = 30.0  # V per voxel below which total variation is smooth
REFINE_FROM = 3  # sweep from which probe and positions may follow


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
        return reason_to_skip(type(self).__name__, series)

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
        full = max(qy, qx)
        window = window_pixels(self.params.window_A, grid.voxel_A, full)
        slices = max(1, math.ceil(grid.shape[0] * grid.voxel_A / self.slice_A() - 1e-6))
        passes = self.params.iterations * (1.5 if self.params.update == "paper" else 1.0) + 0.5
        transforms = 4 * slices * window**2 * math.log2(window) + 6 * full**2 * math.log2(full)
        probes = tilts * foci * ny * nx
        voxels = float(math.prod(grid.shape))
        batches = max(1.0, ny * nx / (self.params.batch or ny * nx))
        seconds = passes * (TRANSFORM_S * probes * transforms + VOXEL_S * tilts * foci * batches * voxels)
        padded = slices * (grid.shape[1] + window) * (grid.shape[2] + window)
        patterns = 4.0 * ny * nx * qy * qx
        return Cost(
            2.0 + seconds,
            BASE_BYTES + 10 * 4 * voxels + 60.0 * padded + 4.5 * patterns + 110.0 * tilts * grid.shape[0] * grid.shape[2],
        )


TRANSFORM_S = 1.85e-10  # per pixel and log2(pixels along a side) of a transform, with the products between transforms
VOXEL_S = 1.0e-8  # per voxel and update: turning the volume, the transmission functions, and the step
BASE_BYTES = 2e7


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
        self.support = model.seen_in_every_view() if params.support == "seen" else None

    def run(self, context: Context) -> Iterator[Iterate]:
        first = self._resume(context.resumed)
        for sweep in range(first, self.params.iterations):
            loss = sum(self._image(sweep, tilt, focus) for tilt, focus in self.order[sweep])
            count = self.model.probe_count * len(self.order[sweep])
            last = sweep == self.params.iterations - 1
            yield Iterate(
                sweep + 1, loss / count, self.phase / np.float32(self.model.sigma), fit=self._fit() if last else Fit(),
                state=self._snapshot(sweep + 1),
            )  # fmt: skip

    def _image(self, sweep: int, tilt: int, focus: int) -> float:
        """One pass over the probes of an image; returns their summed loss."""
        model, size = self.model, self.params.batch or self.model.probe_count
        refining = sweep + 1 >= REFINE_FROM and self.refinement.wanted
        total = 0.0
        for start in range(0, model.probe_count, size):
            some = slice(start, min(start + size, model.probe_count))
            transmission = model.transmission(tilt, self.phase)
            loss, gradient, ends = self.objective(tilt, focus, transmission, some, self.refinement.ends if refining else "none")
            total += loss
            self._step(model.views[tilt].adjoint(model.waves.unpadded(gradient)), sweep)
            if refining and ends is not None:
                self.refinement.follow(tilt, focus, some, ends, self.params.decay ** (sweep + 1 - REFINE_FROM))
        return total

    def _step(self, gradient: Array, sweep: int) -> None:
        if self.params.total_variation and self.adam.count:
            strength = self.params.total_variation * float(self.adam.rms())
            gradient = gradient + np.float32(strength) * total_variation_gradient(self.phase, TV_EDGE * self.model.sigma)
        if self.support is not None:
            gradient = gradient * self.support
        mean, scale, correction = self.adam.update(gradient)
        step = self.params.step_V * self.model.sigma * self.params.decay**sweep / correction
        self.phase = self.model.xp.maximum(self.phase - np.float32(step) * mean / scale, 0)

    def _fit(self) -> Fit:
        return pattern_fit(self.objective, lambda tilt: self.model.transmission(tilt, self.phase))

    def _snapshot(self, sweeps: int) -> dict[str, Array]:
        arrays = {"phase": self.phase, **self.adam.snapshot("phase"), **self.refinement.snapshot()}
        return {**arrays, "sweeps": np.array(sweeps)}

    def _resume(self, saved: Mapping[str, np.ndarray] | None) -> int:
        if saved is None:
            return 0
        self.phase = self.model.xp.asarray(saved["phase"])
        self.adam.resume(saved, "phase")
        self.refinement.resume(saved)
        return int(saved["sweeps"])


class LineSearch:
    """The paper's sweeps: immediate updates in the frame of the beam, and backtracking on the error of the whole series."""

    def __init__(self, model: SeriesModel, params: SSETParams) -> None:
        self.model, self.params = model, params
        self.objective = Objective(model, params.loss if params.loss != "auto" else "amplitude")
        self.angles = [tilt_about_y(rotation) for rotation in model.series.rotations]
        nz, _, nx = model.grid.shape
        if nz != nx:
            raise ValueError(f"update: paper turns square planes (z, x), the grid has {nz} × {nx}; take update: adaptive")
        entrance = model.probes(0, 0)[1].entrance
        self.stable = 1 / (2 * model.waves.slices * float((abs(entrance) ** 2).max()))
        owner = np.clip(np.searchsorted(model.edges_A, model.grid.voxel_A * (np.arange(nz) - nz // 2), side="right") - 1, 0, None)
        self.slice_of = model.xp.asarray(np.minimum(owner, model.waves.slices - 1))
        self.support = model.seen_in_every_view() if params.support == "seen" else np.float32(1)
        self.voxels_in = model.xp.asarray(np.bincount(owner, minlength=model.waves.slices).astype(np.float32))

    def run(self, context: Context) -> Iterator[Iterate]:
        xp, sigma = self.model.xp, np.float32(self.model.sigma)
        phase, step, error, sweeps = xp.zeros(self.model.grid.shape, np.float32), self.params.paper_step, math.inf, 0.0
        if context.resumed is not None:
            phase = xp.asarray(context.resumed["phase"])
            step, error, sweeps = (float(number) for number in context.resumed["progress"])
        if not math.isfinite(error):
            error = self._error(phase)
        for sweep in range(int(sweeps), self.params.iterations):
            tried = self._sweep(phase, step)
            new = self._error(tried)
            if new < error:
                phase, error = tried, new
            else:
                step *= BACKTRACKING
            done = sweep == self.params.iterations - 1 or step < SMALLEST_STEP * self.params.paper_step
            fit = pattern_fit(self.objective, functools.partial(self._transmission, phase)) if done else Fit()
            state = {"phase": phase, "progress": np.array([step, error, sweep + 1])}
            yield Iterate(sweep + 1, error, phase / sigma, fit=fit, state=state)
            if done:
                return

    def _sweep(self, phase: Array, step: float) -> Array:
        model, xp, voxel = self.model, self.model.xp, np.float32(self.model.grid.voxel_A)
        size = self.params.batch or 16
        for tilt, angle in enumerate(self.angles):
            slices = self._slices(phase, angle)
            before = slices.copy()
            for focus in range(model.series.data.shape[1]):
                for start in range(0, model.probe_count, size):
                    some = slice(start, min(start + size, model.probe_count))
                    _, gradient, _ = self.objective(tilt, focus, model.kernel.transmission(slices), some)
                    slices -= np.float32(step * self.stable) * model.waves.unpadded(gradient)
            change = (slices - before) / (self.voxels_in * voxel)[:, None, None]
            phase = xp.maximum(phase + sheared(change[self.slice_of], -angle), 0) * self.support
        return phase

    def _slices(self, phase: Array, angle_deg: float) -> Array:
        """The projected slices of the turned volume."""
        xp, turned = self.model.xp, sheared(phase, angle_deg)
        slices = xp.zeros((self.model.waves.slices, *turned.shape[1:]), np.float32)
        for z, number in enumerate(self.slice_of.tolist()):
            slices[number] += turned[z] * np.float32(self.model.grid.voxel_A)
        return slices

    def _transmission(self, phase: Array, tilt: int) -> Array:
        return self.model.kernel.transmission(self._slices(phase, self.angles[tilt]))

    def _error(self, phase: Array) -> float:
        """The mean loss of a probe over the series."""
        model, total = self.model, 0.0
        for tilt in range(len(self.angles)):
            transmission = self._transmission(phase, tilt)
            for focus in range(model.series.data.shape[1]):
                total += self.objective.value(tilt, focus, transmission)
        return total / (model.series.data.shape[0] * model.series.data.shape[1] * model.probe_count)


def tilt_about_y(rotation: np.ndarray) -> float:
    """Return the angle in degrees of a rotation about y. Raises ValueError for any other rotation."""
    if not np.allclose(rotation[1], [0, 1, 0], atol=1e-6):
        raise ValueError("update: paper turns the volume about y only; take update: adaptive for other tilts")
    return float(np.rad2deg(np.arctan2(rotation[0, 2], rotation[2, 2])))


def total_variation_gradient(volume: Array, edge: float) -> Array:
    """Return the gradient of Σ √(|∇V|² + edge²), forward differences, free at the faces."""
    xp = get_array_module(volume)
    steps = [xp.diff(volume, axis=axis, append=xp.take(volume, xp.array([-1]), axis=axis)) for axis in range(3)]
    length = xp.sqrt(sum(step * step for step in steps) + np.float32(edge) ** 2)
    total = xp.zeros_like(volume)
    for axis, step in enumerate(steps):
        total -= xp.diff(step / length, axis=axis, prepend=xp.zeros_like(xp.take(volume, xp.array([0]), axis=axis)))
    return total
