"""How well calculated patterns agree with measured ones: amplitudes or counting statistics, in the intensity of every image.

amplitude   Σ (√I_calc − √I)²
poisson     Σ I_calc − I + (I + ε) ln((I + ε)/(I_calc + ε)), unbiased where a pixel counts less than an electron
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchsuite.data import Fit
from benchsuite.physics.backend import Array, to_host
from benchsuite.physics.multislice.series_model import Selection, SeriesModel
from benchsuite.physics.multislice.waves import Ends
from benchsuite.physics.probe import orthogonal

Loss = Literal["auto", "amplitude", "poisson"]
POISSON_FLOOR = 0.03  # counts added to both sides: bounds the weight of pixels that expect next to nothing
NOISE_FREE_FLOOR = 1e-5  # the same as a fraction of the incident intensity, where there is no dose


@dataclass(frozen=True)
class EndGradients:
    """∂L/∂ψ* at the entrance and ∂L/∂Ψ* at the detector, of each probe or summed over equal shifts, and those shifts_A (n, 2)."""

    shifts_A: np.ndarray
    at_entrance: Array
    at_detector: Array


class Objective:
    """The loss of one image of the series and its gradient, in the normalisation that the parameters ask for."""

    def __init__(self, model: SeriesModel, loss: Loss, floor: float = POISSON_FLOOR) -> None:
        """`floor`: ε of the Poisson loss in electrons per pixel."""
        self.model = model
        series = model.series
        dosed = math.isfinite(series.dose_e_per_A2)
        self.floor = None
        if loss == "poisson" or (loss == "auto" and dosed):
            self.floor = floor / series.electrons_per_position if dosed else NOISE_FREE_FLOOR
        self.intensity_scales = np.array(
            [[self._intensity(t, f) for f in range(series.data.shape[1])] for t in range(len(series.data))]
        )

    def _intensity(self, tilt: int, focus: int) -> float:
        return float(self.model.measured(tilt, focus).sum(dtype=np.float64)) / self.model.probe_count

    def value(self, tilt: int, focus: int, transmission: Array) -> float:
        """Return the loss summed over all probes of an image (the gradient costs twice as much)."""
        model, xp = self.model, self.model.xp
        found = model.through(tilt, focus, transmission, self.intensity_scales[tilt, focus])
        measured = model.measured(tilt, focus)
        if self.floor is None:
            return float(((xp.sqrt(found) - xp.sqrt(measured)) ** 2).sum(dtype=np.float64))
        expected, counted = found + np.float32(self.floor), measured + np.float32(self.floor)
        return float((expected - counted + counted * xp.log(counted / expected)).sum(dtype=np.float64))

    def __call__(
        self, tilt: int, focus: int, transmission: Array, selection: Selection, ends: Ends = "none"
    ) -> tuple[float, Array, EndGradients | None]:
        """Return the loss summed over selected probes of an image, its gradient on the padded slices, and that at both ends."""
        model = self.model
        origins, waves = model.probes(tilt, focus, selection)
        patterns = model.measured(tilt, focus, roots=self.floor is None)
        measured, index = (patterns[selection], None) if isinstance(selection, slice) else (patterns, selection)
        waves = waves.scaled(self.intensity_scales[tilt, focus])
        losses, gradient, found = model.kernel.gradient(transmission, origins, waves, measured, self.floor, ends, index)
        if found is None:
            return float(losses.sum()), gradient, None
        shifts = waves.shifts_A if ends == "summed" else model.shifts_A(tilt, focus, selection)
        return float(losses.sum()), gradient, EndGradients(shifts, *found)


def pattern_fit(objective: Objective, transmission: Callable[[int], Array]) -> Fit:
    """Return R-factors per tilt, from the transmission functions of a fit, its orthogonal probes and their positions."""
    model = objective.model
    per_tilt = np.array(
        [model.r_factor(tilt, transmission(tilt), scales) for tilt, scales in enumerate(objective.intensity_scales)]
    )
    apertures = model.xp.stack(model.apertures)
    if model.how.modes > 1:  # any unitary mixture of modes makes the same patterns
        apertures = model.xp.asarray(orthogonal(to_host(apertures)))
    return Fit(r_factor_per_image=per_tilt, apertures=apertures, positions_A=model.positions_A)
