"""The scores of traced atoms alone, without a series."""

from __future__ import annotations

from typing import Literal

from ase import Atoms

from benchsuite.metrics.composition import composition_scores
from benchsuite.metrics.matching.matched import match_atoms
from benchsuite.metrics.positions import position_scores
from benchsuite.metrics.structure import bond_scores


def score(
    truth: Atoms, traced: Atoms, *, cutoff_A: float | None = None, registration: Literal["shift", "rigid"] = "shift"
) -> dict[str, float]:
    """Return the scores of a traced and classified model against the true atoms, by the names of their columns."""
    matched = match_atoms(truth, traced, cutoff_A=cutoff_A, registration=registration)
    return {**position_scores(matched), **composition_scores(matched), **bond_scores(matched)}
