"""The phase that every tilt of a 4D-STEM series adds to the wave: multislice ptychography, summed over its slices.

With one slice this is the projection approximation of single-slice ptychographic tomography (SSPT); with more, what the beam does
between them is accounted for, and the sum is a projection all the same (MSPT).

A. Romanov, M. Cho, M. Scott, P. Pelz, J. Phys. Mater. 8 (2025) 015005, sec. 2.1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from benchsuite.contract.algorithm import Context
from benchsuite.contract.plug import Cost
from benchsuite.contract.preprocessing import Preprocessing
from benchsuite.data import Grid, Modality, Preprocessed, TiltSeries, scanned
from benchsuite.params import Params
from benchsuite.physics.backend import DEVICES, to_host
from benchsuite.physics.multislice.series_model import SeriesModel
from benchsuite.reconstructors.ptychography.msp import MSP, MSPParams
from benchsuite.reconstructors.ptychography.ptychography import Ptychography

FRAME_A = 2.0  # width of the edges of a scan whose level goes on beyond it


class ProjectedPhase(Preprocessing[MSPParams]):
    """Extras: `phase_r_factor` (n_tilt,), how well each fit describes its patterns."""

    Params: ClassVar[type[Params]] = MSPParams
    modalities: ClassVar[tuple[Modality, ...]] = ("4dstem",)
    makes: ClassVar[Modality | None] = "phase"
    devices: ClassVar[tuple[str, ...]] = DEVICES
    by_tilt = True
    title = "Projected phases by multislice ptychography, tilt by tilt"
    reference = "Romanov et al., J. Phys. Mater. 8 (2025) 015005"

    def accepts(self, series: TiltSeries) -> str | None:
        return super().accepts(series) or MSP(self.params).accepts(_level(series))

    def preprocess(self, series: TiltSeries, context: Context) -> Preprocessed:
        model = SeriesModel(_level(series), context.grid, self.params.discretisation(), context.xp, context.threads)
        fit = Ptychography(model, self.params.settings(), context.rng)
        for _ in fit.run():
            pass
        phase = continued(to_host(fit.phase).sum(axis=0), scanned(series, context.grid), context.grid.voxel_A)[None, None]
        r_factor = np.asarray(fit.fit().r_factor_per_image)
        made = replace(series, modality="phase", data=phase, scan_step_A=context.grid.voxel_A, reciprocal_step_per_A=None)
        return Preprocessed(made, extras={"phase_r_factor": r_factor})

    def cost(self, series_shape: tuple[int, ...], grid: Grid) -> Cost:
        return MSP(self.params).cost(series_shape, grid)


def continued(phase: np.ndarray, inside: tuple[slice, slice], pixel_A: float) -> np.ndarray:
    """Return phases (ny, nx) that go on beyond the scan with the level at its edges: patterns leave that constant open."""
    within = phase[inside]
    width = max(1, min(round(FRAME_A / pixel_A), min(within.shape) // 2))
    frame = np.ones(within.shape, dtype=bool)
    frame[width:-width, width:-width] = False
    result = np.full_like(phase, np.median(within[frame]))
    result[inside] = within
    return result


def _level(series: TiltSeries) -> TiltSeries:
    """One tilt as if it were not tilted: slices are normal to the beam."""
    return replace(series, rotations=np.eye(3)[None]) if len(series.rotations) == 1 else series
