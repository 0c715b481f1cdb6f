"""Projections of Gaussian atoms, the smallest useful simulation engine: I(r) = s Σ Z^1.7 exp(−|r − r_atom|² / 2w²).

Try it: benchsuite run quickstart --plugin projection.py --set 'simulation={engine: projection, params: {width_A: 0.6}}'
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from pydantic import Field

from benchsuite import Acquisition, Microscope, Modality, Params, Positive, Simulation, Simulator


class ProjectionParams(Params):
    width_A: Positive = Field(0.5, description="Standard deviation of the image of an atom")
    signal: Positive = Field(1e-5, description="Fraction of the electrons that hydrogen scatters into the detector, at its peak")


class Projection(Simulator[ProjectionParams]):
    Params = ProjectionParams
    title = "Projections of Gaussian atoms"
    reference = "docs/how-to/add-a-simulator.md"
    unread = ("method", "potential", "prism_interpolation", "sampling_A", "slice_A", "window_A")
    caveat = "Images by the projection engine: no probe, no depth of field, no thermal motion."

    def simulate(
        self, atoms: Atoms, rotation: np.ndarray, microscope: Microscope, simulation: Simulation, acquisition: Acquisition, **_: Any
    ) -> dict[Modality, np.ndarray]:
        (ny, nx), step = acquisition.scan.positions, acquisition.scan.step_A
        x, y, _z = (atoms.positions @ rotation.T).T
        columns, rows = (step * (np.arange(n) - n // 2) for n in (nx, ny))
        across, down = (np.exp(-((a - b[:, None]) ** 2) / (2 * self.params.width_A**2)) for a, b in ((columns, x), (rows, y)))
        image = self.params.signal * (down * atoms.numbers[:, None] ** 1.7).T @ across
        return {"adf": np.repeat(image[None].astype(np.float32), len(microscope.defoci_A), axis=0)}
