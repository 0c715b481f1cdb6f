"""The loss of a series under a noise model and its gradient, in the intensity of every image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchsuite.data import Fit
from benchsuite.physics.backend import Array, to_host
from benchsuite.physics.multislice.noise_model import POISSON_FLOOR, Loss, noise_model
from benchsuite.physics.multislice.series_model import Selection, SeriesModel
from benchsuite.physics.multislice.waves import Ends
from benchsuite.physics.probe import orthogonal


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
        self.noise = noise_model(loss, series, floor)
        self.intensity_scales = np.array(
            [[self._intensity(t, f) for f in range(series.data.shape[1])] for t in range(len(series.data))]
        )

    def _intensity(self, tilt: int, focus: int) -> float:
        return float(self.model.measured(tilt, focus).sum(dtype=np.float64)) / self.model.probe_count

    def value(self, tilt: int, focus: int, transmission: Array) -> float:
        """Return the loss summed over all probes of an image (the gradient costs twice as much)."""
        model = self.model
        found = model.through(tilt, focus, transmission, self.intensity_scales[tilt, focus])
        measured = model.measured(tilt, focus)
        return self.noise.value(found, measured)

    def __call__(
        self, tilt: int, focus: int, transmission: Array, selection: Selection, ends: Ends = "none"
    ) -> tuple[float, Array, EndGradients | None]:
        """Return the loss summed over selected probes of an image, its gradient on the padded slices, and that at both ends."""
        model = self.model
        origins, waves = model.probes(tilt, focus, selection)
        patterns = model.measured(tilt, focus, roots=self.noise.takes_roots)
        measured, index = (patterns[selection], None) if isinstance(selection, slice) else (patterns, selection)
        waves = waves.scaled(self.intensity_scales[tilt, focus])
        losses, gradient, found = model.kernel.gradient(transmission, origins, waves, measured, self.noise, ends, index)
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
