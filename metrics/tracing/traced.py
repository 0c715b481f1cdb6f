"""From a reconstruction to atoms with elements: a volume is traced and classified, a list of atoms only classified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms

from benchsuite.data import Reconstruction
from benchsuite.metrics.tracing.classify import classify, classify_by_intensity
from benchsuite.metrics.tracing.trace import trace_atoms

TRACING_KEYS = ("blur_A", "minimum_distance_A", "threshold", "peak_fit", "search_residual")
CLASSIFICATION_KEYS = ("species", "smooth_A", "mask", "non_atoms")


def traced_atoms(reconstruction: Reconstruction, analysis: Mapping[str, Any], rng: np.random.Generator) -> Atoms:
    """Return atoms with elements, those of no element as "X".

    A list of atoms keeps its elements; one without elements is classified by its array `intensity`. analysis: the keys of
    TRACING_KEYS and CLASSIFICATION_KEYS. Raises ValueError for a reconstruction that is neither a volume nor atoms.
    """
    atoms, volume = reconstruction.atoms, reconstruction.volume
    if atoms is not None:
        if "intensity" not in atoms.arrays or (atoms.numbers > 0).any():
            return atoms
        return classify_by_intensity(atoms, species=analysis["species"], non_atoms=analysis["non_atoms"], rng=rng)
    if volume is None:
        raise ValueError("the reconstruction has neither volume nor atoms")
    found = trace_atoms(volume, **{key: analysis[key] for key in TRACING_KEYS})
    return classify(volume, found, **{key: analysis[key] for key in CLASSIFICATION_KEYS}, rng=rng)
