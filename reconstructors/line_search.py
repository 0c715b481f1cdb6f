"""The update of the MSET paper: immediate steps in the frame of the beam, and backtracking on the error of the whole series.

J. Lee, M. Lee, Y. Park, C. Ophus, Y. Yang, Phys. Rev. Applied 19 (2023) 054062, doi:10.1103/PhysRevApplied.19.054062.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from benchsuite.contract.algorithm import Context
from benchsuite.contract.reconstructor import Iterate
from benchsuite.data import Fit
from benchsuite.physics.backend import Array
from benchsuite.physics.multislice.objective import Objective, pattern_fit
from benchsuite.physics.multislice.series_model import SeriesModel
from benchsuite.physics.multislice.sliced_view import sheared

if TYPE_CHECKING:
    from benchsuite.reconstructors.mset import SSETParams

BACKTRACKING, MIN_STEP_RATIO = 0.1, 1e-5  # ρ of the paper, and the part of the first step at which it stops


class LineSearch:
    """The volume under way: one pass over all tilts per iteration, undone where the error of the series rises."""

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
        phase, step, error, done_before = xp.zeros(self.model.grid.shape, np.float32), self.params.paper_step, math.inf, 0.0
        if context.resumed is not None:
            phase = xp.asarray(context.resumed["phase"])
            step, error, done_before = (float(number) for number in context.resumed["progress"])
        if not math.isfinite(error):
            error = self._error(phase)
        for iteration in range(int(done_before), self.params.iterations):
            tried = self._iterate(phase, step)
            new = self._error(tried)
            if new < error:
                phase, error = tried, new
            else:
                step *= BACKTRACKING
            done = iteration == self.params.iterations - 1 or step < MIN_STEP_RATIO * self.params.paper_step
            fit = pattern_fit(self.objective, functools.partial(self._transmission, phase)) if done else Fit()
            state = {"phase": phase, "progress": np.array([step, error, iteration + 1])}
            yield Iterate(iteration + 1, error, phase / sigma, fit=fit, state=state)
            if done:
                return

    def _iterate(self, phase: Array, step: float) -> Array:
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
