"""Probe positions and aperture functions that follow the data.

What they change shows only where scattered and unscattered waves interfere: the curvature is small, and measured by the gradients
themselves (Adam).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from benchsuite.physics.backend import Array
from benchsuite.physics.multislice.objective import EndGradients, Objective
from benchsuite.physics.multislice.series_model import Selection
from benchsuite.physics.multislice.waves import Ends
from benchsuite.reconstructors.solvers.adam import Adam, Rates, squared

RATES = Rates(momentum=0.7, memory=0.99, damping=1e-2)  # a position is updated once per iteration
POSITION_STEP_A = 0.05  # first move of a position
PROBE_STEP = 0.05  # first change of the aperture function, relative to its modulus


class Refinement:
    """Follows the gradients at both ends of the specimen, for the model of an objective."""

    def __init__(self, objective: Objective, probe: bool, positions: bool) -> None:
        self.objective, self.model, self.probe, self.positions = objective, objective.model, probe, positions
        self.adams: dict[str, Adam] = {}
        if positions:
            self.adams["positions"] = Adam(RATES, self.model.positions_A, axes=3)
        if probe:
            self.adams["apertures"] = Adam(RATES, self.model.xp.stack(self.model.apertures), axes=1)

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
            mean, scale, correction = self.adams["positions"].update(slopes[:, ::-1], here)
            model.positions_A[here] -= POSITION_STEP_A * step * (mean / (scale * correction))
        if self.probe:
            modulus = abs(aperture)
            support = (modulus.reshape(-1, *modulus.shape[-2:]) > 0).any(axis=0)  # of all modes: nodes of one are filled by another
            mean, scale, correction = self.adams["apertures"].update(gradient * support, (focus,))
            new = aperture - np.float32(PROBE_STEP * step) * modulus.max() * (mean / (scale * correction))
            model.apertures[focus] = new / model.xp.sqrt(squared(new).sum())

    def snapshot(self) -> dict[str, Array]:
        """Return positions, apertures and averages: what `resume` goes on from."""
        averages = {key: array for name, adam in self.adams.items() for key, array in adam.snapshot(name).items()}
        return {**averages, "positions_A": self.model.positions_A, "apertures": self.model.xp.stack(self.model.apertures)}

    def resume(self, saved: Mapping[str, np.ndarray]) -> None:
        """Go on from a snapshot, which may hold other arrays, too."""
        xp = self.model.xp
        for name, adam in self.adams.items():
            adam.resume(saved, name)
        self.model.positions_A = np.array(saved["positions_A"])
        self.model.apertures = [xp.asarray(one) for one in saved["apertures"]]
