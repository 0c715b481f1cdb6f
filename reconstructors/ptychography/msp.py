"""MSP: multislice ptychography of an untilted series, which gives slices in depth from the patterns of one view.

The answer is a volume: the potential of each slice, spread evenly over its thickness, and nothing beyond the slices. Few and
thick ones: a probe does not tell thin ones apart (`ptychography`). Romanov et al. take five of 3 nm for a cube of 13 nm.

A. Romanov, M. Cho, M. Scott, P. Pelz, J. Phys. Mater. 8 (2025) 015005.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

from benchsuite.contract.algorithm import Context
from benchsuite.contract.plug import Cost
from benchsuite.contract.reconstructor import Iterate, Reconstructor
from benchsuite.data import Fit, Grid, Modality, Slices, TiltSeries
from benchsuite.params import Count, NonNegative, Params, Positive
from benchsuite.physics.backend import Array
from benchsuite.physics.multislice.noise_model import Loss
from benchsuite.physics.multislice.series_model import Discretisation, SeriesModel
from benchsuite.reconstructors.checks import reason_of_sparse_scan, reason_to_skip_patterns
from benchsuite.reconstructors.costs import SLICE_STEP_S, TRANSFORM_S, multislice_pixels
from benchsuite.reconstructors.ptychography.ptychography import Ptychography, Settings

ROTATION_TOLERANCE = 1e-3  # largest difference of a matrix element from that of an untilted view


class MSPParams(Params):
    iterations: Count = Field(60, description="Iterations over all probes")
    slices: Count = Field(5, description="Number of slices about the centre of the specimen")
    slice_A: Positive = Field(30.0, description="Slice thickness")
    batch: Count = Field(64, description="Probes per update")
    step_rad: Positive = Field(0.02, description="Initial change of a pixel's phase per step")
    loss: Loss = Field("auto", description="Loss of the patterns; auto: Poisson if the series has a dose")
    layers: NonNegative = Field(0.0, description="Strength of the filter against fast changes in depth; 0: none")
    window_A: Positive | None = Field(None, description="Side of the probe window; default: the whole field")
    modes: Count = Field(1, le=10, description="Incoherent probe modes, for an extended source; refined with refine_probe")
    refine_probe: bool = Field(True, description="Refine the aperture function")
    refine_positions: bool = Field(False, description="Refine the probe positions")

    @model_validator(mode="after")
    def _modes_follow(self) -> MSPParams:
        if self.modes > 1 and not self.refine_probe:
            raise ValueError(f"modes: {self.modes} follow the data; set refine_probe: true, or modes: 1")
        return self

    def discretisation(self) -> Discretisation:
        return Discretisation(self.slice_A, self.window_A, slices=self.slices, modes=self.modes)

    def settings(self) -> Settings:
        p = self
        return Settings(p.iterations, p.batch, p.step_rad, p.loss, p.layers, p.refine_probe, p.refine_positions)


class MSP(Reconstructor[MSPParams]):
    """Multislice ptychography of one untilted view."""

    Params: ClassVar[type[Params]] = MSPParams
    modalities: ClassVar[tuple[Modality, ...]] = ("4dstem",)
    single_view = True
    title = "MSP: multislice ptychography of one view"
    reference = "Romanov et al., J. Phys. Mater. 8 (2025) 015005"

    def accepts(self, series: TiltSeries) -> str | None:
        reason = reason_to_skip_patterns("MSP", series)
        if reason is None and (len(series.rotations) > 1 or np.abs(series.rotations[0] - np.eye(3)).max() > ROTATION_TOLERANCE):
            return f"MSP needs one untilted view, the series has {len(series.rotations)} tilts; mspt takes tilt series"
        if reason is None and series.data.shape[1] > 1:
            return f"MSP needs one focus, the series has {series.data.shape[1]}"
        return reason or reason_of_sparse_scan("MSP", series)

    def reconstruct(self, series: TiltSeries, context: Context) -> Iterator[Iterate]:
        model = SeriesModel(series, context.grid, self.params.discretisation(), context.xp, context.threads)
        fit = Ptychography(model, self.params.settings(), context.rng)
        if context.resumed is not None:
            fit.resume(context.resumed)
        for loss in fit.run():
            found = fit.fit() if fit.iteration == self.params.iterations else Fit()
            slices = Slices(fit.phase, model.edges_A)
            yield Iterate(fit.iteration, loss, self._volume(fit, context), slices=slices, fit=found, state=fit.snapshot())

    def _volume(self, fit: Ptychography, context: Context) -> Array:
        """The potential in V on the grid."""
        grid, edges = context.grid, fit.model.edges_A
        depths = grid.voxel_A * (np.arange(grid.shape[0]) - grid.shape[0] // 2)
        owner = np.searchsorted(edges, depths, side="right") - 1
        volume = context.xp.zeros(grid.shape, np.float32)
        for layer in np.flatnonzero((owner >= 0) & (owner < self.params.slices)):
            volume[layer] = fit.phase[owner[layer]] / np.float32(fit.model.sigma * self.params.slice_A)
        return volume

    def cost(self, series_shape: tuple[int, ...], grid: Grid) -> Cost:
        if len(series_shape) != 6:
            return super().cost(series_shape, grid)  # a series that `accepts` refuses
        _, _, ny, nx, qy, qx = series_shape
        p = self.params
        pixels = float(p.slices * grid.shape[1] * grid.shape[2])
        transforms = p.modes * multislice_pixels(p.slices, p.window_A, grid.voxel_A, max(qy, qx))
        steps = max(1.0, ny * nx / p.batch)
        seconds = p.iterations * (TRANSFORM_S * ny * nx * transforms + SLICE_STEP_S * steps * pixels)
        return Cost(2.0 + seconds, 5e7 + 4.5 * ny * nx * qy * qx + 150 * pixels + 4 * float(math.prod(grid.shape)))
