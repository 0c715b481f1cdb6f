"""Traced atoms beside the true ones: matched, marked right or wrong, and counted in a confusion matrix."""

from __future__ import annotations

from typing import Literal

import numpy as np
from ase import Atoms

from benchsuite.contract.metric import Matched
from benchsuite.data import is_atom
from benchsuite.metrics.matching.match import match

UNJUDGED_OUTCOME = "traced"  # outcome of an atom beside which there is no truth
OUTCOME_DTYPE = "U14"  # as wide as the longest outcome


def match_atoms(
    truth: Atoms, traced: Atoms, *, cutoff_A: float | None = None, registration: Literal["shift", "rigid"] = "shift"
) -> Matched:
    """Match a traced and classified model with the truth; non-atoms ("X") are no traced atoms."""
    true_symbols, symbols = _symbols(truth), _symbols(traced)
    atoms = np.flatnonzero(is_atom(traced))
    found = match(truth.positions, traced.positions[atoms], cutoff_A=cutoff_A, registration=registration)
    i, j = found.truth_index, atoms[found.traced_index]
    right = true_symbols[i] == symbols[j]
    marked_truth, marked = truth.copy(), traced.copy()
    _mark(marked_truth, i, right, found.distance_A, ("found", "misclassified"), np.full(len(truth), "missing"))
    others = np.where(is_atom(traced), "false_positive", "non_atom")
    _mark(marked, j, right, found.distance_A, ("true", "false_class"), others)
    motion = {"pairs": np.column_stack([i, j]), "rotation": found.rotation, "shift_A": found.shift_A}
    return in_frame(marked_truth, marked, cutoff_A=found.cutoff_A, **motion)


def in_frame(
    truth: Atoms, traced: Atoms, *, pairs: np.ndarray, cutoff_A: float, rotation: np.ndarray, shift_A: np.ndarray
) -> Matched:
    """Return marked atoms with the common motion removed from the traced ones, which come as they were found."""
    aligned = traced.copy()
    aligned.positions = traced.positions @ rotation.T - shift_A
    return Matched(
        truth=truth,
        traced=aligned,
        pairs=pairs,
        cutoff_A=cutoff_A,
        rotation=rotation,
        shift_A=shift_A,
        positions_found=traced.positions.copy(),
    )


def unmatched(traced: Atoms) -> Matched:
    """Return traced atoms beside which there is no truth."""
    marked, nothing = traced.copy(), np.empty(0, dtype=int)
    outcomes = np.where(is_atom(traced), UNJUDGED_OUTCOME, "non_atom")
    _mark(marked, nothing, nothing, nothing, ("", ""), outcomes)
    return Matched(truth=None, traced=marked, positions_found=traced.positions.copy())


def as_found(matched: Matched) -> Atoms:
    """Return the traced atoms, marked, where they were found."""
    assert matched.traced is not None
    atoms = matched.traced.copy()
    atoms.positions = matched.positions_found
    return atoms


def _mark(
    atoms: Atoms, index: np.ndarray, right: np.ndarray, distance: np.ndarray, words: tuple[str, str], otherwise: np.ndarray
) -> None:
    outcome, displacement = otherwise.astype(OUTCOME_DTYPE), np.full(len(atoms), np.nan)
    outcome[index] = np.where(right, *words)
    displacement[index] = distance
    atoms.set_array("outcome", outcome)
    atoms.set_array("displacement_A", displacement)


def confusion_matrix(matched: Matched) -> dict[str, dict[str, int]]:
    """Return the counts {true element: {traced element: n, "missing": n}}, with a row "false" for false positives; or nothing."""
    if matched.truth is None or matched.traced is None:
        return {}
    true_symbols, symbols = _symbols(matched.truth), _symbols(matched.traced)
    i, j = matched.pairs.T
    atoms = np.flatnonzero(is_atom(matched.traced))
    elements = sorted(set(true_symbols.tolist()) | set(symbols[atoms].tolist()))
    table = {}
    for element in sorted(set(true_symbols.tolist())):
        of_element = true_symbols[i] == element
        row = {other: int((symbols[j][of_element] == other).sum()) for other in elements}
        table[element] = {**row, "missing": int((true_symbols == element).sum() - of_element.sum())}
    unpaired = np.setdiff1d(atoms, j)
    table["false"] = {other: int((symbols[unpaired] == other).sum()) for other in elements} | {"missing": 0}
    return table


def _symbols(atoms: Atoms) -> np.ndarray:
    return np.array(atoms.get_chemical_symbols(), dtype="U2")
