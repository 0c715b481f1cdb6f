"""The scores of a traced model, as Lee et al. (2023) define them (sec. II F), with what is needed to judge them.

    RMSD                 √(mean squared distance) of matched atoms after the common shift is removed
    tracing error        (false positives + missed) / true atoms
    classification rate  correctly classified / true atoms
    OSPA                 √((Σ squared distances of matched atoms + c² · unmatched) / max(true, traced))

c is the cut-off of the matching, "unmatched" counts the longer list. OSPA (Schuhmacher, Vo & Vo, IEEE Trans. Signal Process. 56
(2008) 3447, doi:10.1109/TSP.2008.920469; order 2) is what methods are ranked by: leaving out an atom cannot make it better, as it
can the RMSD. Non-atoms ("X") are no traced atoms. Recall of an element counts its true atoms that were found, whatever they were
taken for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ase import Atoms

from benchsuite.metrics.matching.match import match
from benchsuite.metrics.structure import bond_length_error_A
from benchsuite.metrics.tracing.classify import NON_ATOM


@dataclass(frozen=True)
class Scores:
    """values: scalar scores by column name. confusion: {true element or "false": {traced element or "missing": count}}.

    truth: copy with arrays `outcome` (found, misclassified, missing) and `displacement_A` (nan where missing).
    traced: copy with `outcome` (true, false_class, false_positive, non_atom) and `displacement_A`.
    """

    values: dict[str, Any]
    confusion: dict[str, dict[str, int]]
    truth: Atoms
    traced: Atoms


def score(
    truth: Atoms, traced: Atoms, *, cutoff_A: float | None = None, registration: Literal["shift", "rigid"] = "shift"
) -> Scores:
    """Compare a traced and classified model with the truth."""
    true_symbols = np.array(truth.get_chemical_symbols(), dtype="U2")
    symbols = np.array(traced.get_chemical_symbols(), dtype="U2")
    atoms = np.flatnonzero(symbols != NON_ATOM)
    found = match(truth.positions, traced.positions[atoms], cutoff_A=cutoff_A, registration=registration)
    i, j = found.truth_index, atoms[found.traced_index]
    right = true_symbols[i] == symbols[j]
    n_true, n_matched = len(truth), len(i)
    false_positive, missed = len(atoms) - n_matched, n_true - n_matched
    values: dict[str, Any] = {
        "rmsd_pm": 100 * float(np.sqrt((found.distance_A**2).mean())) if n_matched else float("nan"),
        "ospa_pm": 100 * ospa_A(found.distance_A, n_true, len(atoms), found.cutoff_A),
        "tracing_error_pct": 100 * (false_positive + missed) / n_true,
        "classification_rate_pct": 100 * float(right.sum()) / n_true,
        "n_true": n_true,
        "n_traced": len(atoms),
        "n_matched": n_matched,
        "n_false_positive": false_positive,
        "n_missed": missed,
        "match_cutoff_A": found.cutoff_A,
        **{f"shift_{axis}_A": float(found.shift_A[k]) for k, axis in enumerate("xyz")},
        "rotation_deg": float(np.rad2deg(np.arccos(np.clip((np.trace(found.rotation) - 1) / 2, -1, 1)))),
        "bond_length_error_pm": 100 * bond_length_error_A(truth.positions[i], traced.positions[j], truth.positions),
    }
    if "ambiguous" in traced.arrays:
        values["n_ambiguous"] = int(traced.arrays["ambiguous"][atoms].sum())
    for element in sorted(set(true_symbols.tolist())):
        of_element = true_symbols[i] == element
        total = int((true_symbols == element).sum())
        values[f"recall_{element}_pct"] = 100 * float(of_element.sum()) / total
        values[f"identified_{element}_pct"] = 100 * float((of_element & right).sum()) / total
        distance = found.distance_A[of_element]
        values[f"rmsd_{element}_pm"] = 100 * float(np.sqrt((distance**2).mean())) if len(distance) else float("nan")
    scored_truth, scored_traced = truth.copy(), traced.copy()
    _annotate(scored_truth, i, right, found.distance_A, ("found", "misclassified"), np.full(n_true, "missing"))
    rest = np.where(symbols == NON_ATOM, "non_atom", "false_positive")
    _annotate(scored_traced, j, right, found.distance_A, ("true", "false_class"), rest)
    return Scores(values, confusion_table(true_symbols, symbols, atoms, i, j), scored_truth, scored_traced)


def ospa_A(distance_A: np.ndarray, n_true: int, n_traced: int, cutoff_A: float) -> float:
    """Return the OSPA distance of order 2 of two lists of atoms whose matched pairs are these distances (n,) apart."""
    longer = max(n_true, n_traced)
    return float(np.sqrt(((distance_A**2).sum() + cutoff_A**2 * (longer - len(distance_A))) / longer))


def _annotate(
    atoms: Atoms, index: np.ndarray, right: np.ndarray, distance: np.ndarray, words: tuple[str, str], otherwise: np.ndarray
) -> None:
    outcome, displacement = otherwise.astype("U14"), np.full(len(atoms), np.nan)
    outcome[index] = np.where(right, *words)
    displacement[index] = distance
    atoms.set_array("outcome", outcome)
    atoms.set_array("displacement_A", displacement)


def confusion_table(
    true_symbols: np.ndarray, symbols: np.ndarray, atoms: np.ndarray, i: np.ndarray, j: np.ndarray
) -> dict[str, dict[str, int]]:
    """Return the counts {true element: {traced element: n, "missing": n}}, with a row "false" for false positives."""
    elements = sorted(set(true_symbols.tolist()) | set(symbols[atoms].tolist()))
    table = {}
    for element in sorted(set(true_symbols.tolist())):
        of_element = true_symbols[i] == element
        row = {other: int((symbols[j][of_element] == other).sum()) for other in elements}
        table[element] = {**row, "missing": int((true_symbols == element).sum() - of_element.sum())}
    unmatched = np.setdiff1d(atoms, j)
    table["false"] = {other: int((symbols[unmatched] == other).sum()) for other in elements} | {"missing": 0}
    return table


def r_factor(measured: np.ndarray, calculated: np.ndarray) -> tuple[float, np.ndarray]:
    """Return (overall, per image) Σ|I − s I_calc| / Σ|I| for images (n, ny, nx), with the one least-squares scale s.

    Images that are empty give nan.
    """
    measured, calculated = measured.astype(np.float64), calculated.astype(np.float64)
    power = float((calculated**2).sum())
    scale = float((measured * calculated).sum()) / power if power > 0 else 0.0
    difference = np.abs(measured - scale * calculated).sum(axis=(1, 2))
    total = np.abs(measured).sum(axis=(1, 2))
    per_image = np.divide(difference, total, out=np.full(len(total), np.nan), where=total > 0)
    return (float(difference.sum() / total.sum()) if total.sum() > 0 else float("nan")), per_image
