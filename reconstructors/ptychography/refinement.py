"""Probe positions and aperture functions that follow the data.

What they change shows only where scattered and unscattered waves interfere: the curvature is small, and measured by the gradients
themselves (Adam).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from benchsuite.physics.backend import Array, get_array_module
from benchsuite.physics.multislice.objective import EndGradients, Objective
from benchsuite.physics.multislice.series_model import Selection
from benchsuite.physics.multislice.waves import Ends

MOMENTUM, MEMORY = 0.7, 0.99  # of the averages of what is visited once a sweep
DAMPING = 1e-2  # of the largest scale, added to all
POSITION_STEP_A = 0.05  # first move of a position
PROBE_STEP = 0.05  # first change of the aperture function, relative to its modulus


class Refinement:
    """Follows the gradients at both ends of the specimen, for the model of an objective."""

    def __init__(self, objective: Objective, probe: bool, positions: bool) -> None:
        self.objective, self.model, self.probe, self.positions = objective, objective.model, probe, positions
        self.state: dict[str, Array] = {}

    @property
    def wanted(self) -> bool:
        return self.probe or self.positions

    @property
    def ends(self) -> Ends:
        """What of the objective `follow` needs: positions need every probe, apertures only the sums over equal shifts."""
        return "per_probe" if self.positions else "summed" if self.probe else "none"

    def follow(self, tilt: int, focus: int, some: Selection, ends: EndGradients, step: float) -> None:
        """Take a step, as a fraction of the first, from ∂L/∂ψ* at the entrance and at the detector of some probes."""
        model = self.model
        aperture = model.apertures[focus]
        root = np.float32(math.sqrt(self.objective.intensity_scales[tilt, focus]))
        waves = (ends.shifts_A, ends.at_entrance, ends.at_detector)
        if not self.positions:
            gradient = model.kernel.aperture_gradient(*waves).reshape(aperture.shape)
        else:
            gradient, slopes = model.kernel.refinement_gradients(aperture * root, *waves)
            here = (tilt, focus, some)
            model.positions_A[here] -= (
                POSITION_STEP_A * step * self._adam("positions", model.positions_A.shape, here, slopes[:, ::-1])
            )
        if self.probe:
            modulus = abs(aperture)
            support = (modulus.reshape(-1, *modulus.shape[-2:]) > 0).any(
                axis=0
            )  # of all modes: one has nodes where another has none
            shape = (len(model.apertures), *aperture.shape)
            change = self._adam("apertures", shape, (focus,), gradient * support)
            new = aperture - np.float32(PROBE_STEP * step) * modulus.max() * change
            model.apertures[focus] = new / model.xp.sqrt(squared(new).sum())

    def _adam(self, name: str, shape: tuple[int, ...], here: tuple[int | Selection, ...], gradient: Array) -> Array:
        """Return the normalised step for a part of some parameters; its averages are part of the state."""
        xp, real = get_array_module(gradient), gradient.real.dtype
        mean = self.state.setdefault(f"{name}_mean", xp.zeros(shape, gradient.dtype))
        square = self.state.setdefault(f"{name}_square", xp.zeros(shape, real))
        visits = self.state.setdefault(f"{name}_visits", xp.zeros(shape[: len(here)], np.int64))
        visits[here] += 1
        often = visits[here].reshape(visits[here].shape + (1,) * (gradient.ndim - visits[here].ndim))
        mean[here] += (1 - MOMENTUM) * (gradient - mean[here])
        square[here] += (1 - MEMORY) * (squared(gradient) - square[here])
        scale = xp.sqrt(square[here] / (1 - MEMORY**often).astype(real))
        scale += (DAMPING * scale.max() + 1e-30).astype(real)
        scale *= (1 - MOMENTUM**often).astype(real)
        return mean[here] / scale

    def snapshot(self) -> dict[str, Array]:
        """Return positions, apertures and averages: what `resume` goes on from."""
        return {**self.state, "positions_A": self.model.positions_A, "apertures": self.model.xp.stack(self.model.apertures)}

    def resume(self, saved: Mapping[str, np.ndarray]) -> None:
        """Go on from a snapshot, which may hold other arrays, too."""
        xp = self.model.xp
        names = (f"{name}_{kind}" for name in ("positions", "apertures") for kind in ("mean", "square", "visits"))
        self.state = {name: xp.asarray(saved[name]) for name in names if name in saved}
        self.model.positions_A = np.array(saved["positions_A"])
        self.model.apertures = [xp.asarray(one) for one in saved["apertures"]]


def squared(values: Array) -> Array:
    """Return |values|², without the roots that `abs` takes."""
    return values.real**2 + values.imag**2
