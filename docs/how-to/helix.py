"""Atoms on a helix, the smallest useful phantom: chiral, so that a mirrored reconstruction cannot pass for a right one.

Try it: benchsuite run quickstart --plugin helix.py --set 'phantom={kind: helix, element: Au}' --set 'analysis.species=[Au]'
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from pydantic import Field

from benchsuite import Count, Element, NonNegative, Params, Phantom, Positive


class HelixParams(Params):
    element: Element = Field("Au", description="element of all atoms")
    turns: Count = Field(2, description="turns of the right-handed helix about z")
    per_turn: Count = Field(8, description="atoms per turn")
    radius_A: Positive = Field(4.5, description="radius of the helix")
    pitch_A: Positive = Field(6.0, description="rise of a turn")
    displacement_rms_A: NonNegative = Field(0.0, description="RMS length in Å of random static displacements")


class Helix(Phantom[HelixParams]):
    Params = HelixParams
    title = "atoms on a right-handed helix"
    reference = "docs/how-to/add-a-phantom.md"

    def build(self, rng: np.random.Generator) -> Atoms:
        p = self.params
        turn = np.arange(p.turns * p.per_turn) / p.per_turn
        x, y = p.radius_A * np.cos(2 * np.pi * turn), p.radius_A * np.sin(2 * np.pi * turn)
        positions = np.column_stack([x, y, p.pitch_A * (turn - turn.mean())])
        positions += p.displacement_rms_A / np.sqrt(3) * rng.standard_normal(positions.shape)
        atoms = Atoms([p.element] * len(positions), positions)
        atoms.info["length_A"] = float(np.ptp(positions[:, 2]))
        return atoms
