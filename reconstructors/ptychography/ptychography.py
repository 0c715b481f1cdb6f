"""Multislice ptychography: the slices of one view, probe and positions, from its diffraction patterns alone.

    minimise  Σ_probes L(|Ψ(φ_1 … φ_K)|², I)   over phases φ_k ≥ 0 of K slices

with the kernel and the losses of tomography (`kernel`, `objective`), but the slices themselves as unknowns. Batches of probes in
random order, each followed by a step of Adam; steps decay to zero as a cosine. What hardly shows in the patterns, fast changes from
slice to slice of coarse features, is held back by a Wiener-like filter in depth (the missing wedge of a focused probe).

Z. Chen et al., Science 372 (2021) 826, doi:10.1126/science.abg2533 (multislice ptychography with such a filter).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from benchsuite.data import Fit
from benchsuite.physics.backend import Array, fft_module
from benchsuite.physics.multislice.noise_model import Loss
from benchsuite.physics.multislice.objective import Objective, pattern_fit
from benchsuite.physics.multislice.series_model import Selection, SeriesModel
from benchsuite.reconstructors.ptychography.refinement import Refinement
from benchsuite.reconstructors.solvers.adam import Adam, Rates

RATES = Rates(momentum=0.9, memory=0.99, damping=3e-2)
REFINE_FROM = 2  # iteration from which probe and positions may follow


@dataclass(frozen=True)
class Settings:
    """iterations: over all probes, `batch` of them per step. step: first change of a phase in rad. layers: of the depth filter."""

    iterations: int
    batch: int
    step: float
    loss: Loss
    layers: float
    refine_probe: bool
    refine_positions: bool


class Ptychography:
    """The fit of one image of a model (`tilt`, `focus`) under way. `phase`: (slices, ny, nx) float32 in rad."""

    def __init__(self, model: SeriesModel, settings: Settings, rng: np.random.Generator, tilt: int = 0, focus: int = 0) -> None:
        self.model, self.settings, self.rng, self.image = model, settings, rng, (tilt, focus)
        self.objective = Objective(model, settings.loss)
        self.refinement = Refinement(self.objective, settings.refine_probe, settings.refine_positions)
        shape = (model.waves.slices, *model.grid.shape[1:])
        self.phase = model.xp.zeros(shape, np.float32)
        self.adam, self.iteration = Adam(RATES, self.phase), 0
        self.seed = int(rng.integers(2**62))
        sampling = (model.grid.voxel_A, model.waves.slice_A, model.series.optics.semiangle_mrad * 1e-3)
        self.filter = model.xp.asarray(depth_filter(shape, *sampling, settings.layers))

    def run(self) -> Iterator[float]:
        """Yield the mean loss of a probe, iteration by iteration."""
        while self.iteration < self.settings.iterations:
            loss = self._iterate()
            self.iteration += 1
            yield loss

    def _iterate(self) -> float:
        count = self.model.probe_count
        order = np.random.default_rng([self.seed, self.iteration]).permutation(count)
        fade = 0.5 * (1 + math.cos(math.pi * self.iteration / self.settings.iterations))
        refining = self.iteration + 1 >= REFINE_FROM and self.refinement.wanted
        batches = np.array_split(order, max(1, round(count / self.settings.batch)))
        return sum(self.batch(some, fade, refining) for some in batches) / count

    def batch(self, some: Selection, fade: float, refining: bool) -> float:
        """Take a step, as a fraction of the first, for some probes, and return the sum of their losses before it."""
        kernel = self.model.kernel
        loss, gradient, ends = self.objective(
            *self.image, kernel.transmission(self.phase), some, self.refinement.ends if refining else "none"
        )
        self._step(self.model.waves.unpadded(gradient), fade)
        if ends is not None:
            self.refinement.follow(*self.image, some, ends, fade)
        return loss

    def _step(self, gradient: Array, fade: float) -> None:
        mean, scale, correction = self.adam.update(gradient)
        change = mean / scale * np.float32(self.settings.step * fade / correction)
        self.phase = self.model.xp.maximum(self.phase - self._smooth(change), 0)

    def _smooth(self, change: Array) -> Array:
        if self.settings.layers == 0 or len(change) == 1:
            return change
        fft = fft_module(self.model.xp)
        return fft.irfftn(fft.rfftn(change) * self.filter, s=change.shape).astype(np.float32)

    def fit(self) -> Fit:
        """Return the R-factor, and the probe and the positions as they were found."""
        return pattern_fit(self.objective, lambda _tilt: self.model.kernel.transmission(self.phase))

    def snapshot(self) -> dict[str, Array]:
        """Return arrays from which `resume` goes on."""
        arrays = {"phase": self.phase, **self.adam.snapshot("phase"), **self.refinement.snapshot()}
        return {**arrays, "progress": np.array([self.iteration, self.seed])}

    def resume(self, saved: Mapping[str, np.ndarray]) -> None:
        """Go on from a snapshot."""
        self.phase = self.model.xp.asarray(saved["phase"])
        self.adam.resume(saved, "phase")
        self.refinement.resume(saved)
        self.iteration, self.seed = (int(number) for number in saved["progress"])


def depth_filter(shape: tuple[int, ...], pixel_A: float, slice_A: float, semiangle: float, strength: float) -> np.ndarray:
    """Return the factor (slices, ny, nx//2 + 1) float32 of every frequency, 1 − ((2/π) arctan(strength · |q_z|/(α |q|)))².

    A probe of semi-angle α tells apart in depth what changes as fast as |q_z| = α |q|.
    """
    slices, ny, nx = shape
    along = np.abs(np.fft.fftfreq(slices, slice_A))[:, None, None]
    across = np.hypot(np.fft.fftfreq(ny, pixel_A)[:, None], np.fft.rfftfreq(nx, pixel_A))[None]
    least = 0.5 / (pixel_A * max(ny, nx))
    return (1 - (2 / np.pi * np.arctan(strength * along / (semiangle * np.maximum(across, least)))) ** 2).astype(np.float32)
