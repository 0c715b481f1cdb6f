"""Which elements were traced, and how many atoms of each were found and named rightly.

    classification rate  correctly classified / true atoms (Lee et al. 2023, sec. II F)

Recall of an element counts its true atoms that were found, whatever they were taken for.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchsuite.columns import Column, Margin
from benchsuite.contract.metric import Matched, Metric, Scored
from benchsuite.data import is_atom
from benchsuite.params import Params

SHARE = Margin(0.0, 0.1, "n_true")


class Composition(Metric[Params]):
    title = "Elements of the traced atoms"
    reference = "Lee et al. (2023)"
    default = True
    order = 20
    columns = (
        Column(
            "classification_rate_pct", "Classification rate", "%", "higher", SHARE, "headline",
            "Atoms that were found and named rightly as a percentage of the true atoms",
        ),
        Column(
            "recall_<El>_pct", "Recall of <El>", "%", "higher", SHARE,
            description="True <El> atoms that were found, whatever element they were taken for",
        ),
        Column(
            "identified_<El>_pct", "Correctly classified <El>", "%", "higher", SHARE, "detail",
            "True <El> atoms that were found and taken for <El>",
        ),
        Column("n_traced", "Traced atoms"),
        Column("n_traced_<El>", "Traced <El> atoms", description="Traced atoms taken for <El>, where there is no ground truth"),
        Column(
            "n_ambiguous", "Ambiguous atoms", role="detail",
            description="Traced atoms whose element is assigned with less than 95% probability",
        ),
    )  # fmt: skip

    def measure(self, scored: Scored) -> Mapping[str, float]:
        return composition_scores(scored)


def composition_scores(matched: Matched) -> dict[str, float]:
    """Return the scores of matched atoms; counts alone where there is no truth, nothing of single views."""
    if matched.traced is None:
        return {}
    symbols = np.array(matched.traced.get_chemical_symbols(), dtype="U2")
    atoms = is_atom(matched.traced)
    values: dict[str, float] = {"n_traced": int(atoms.sum())}
    if "ambiguous" in matched.traced.arrays:
        values["n_ambiguous"] = int(matched.traced.arrays["ambiguous"][atoms].sum())
    if matched.truth is None:
        elements = sorted(set(symbols[atoms].tolist()))
        return values | {f"n_traced_{element}": int((symbols == element).sum()) for element in elements}
    true_symbols = np.array(matched.truth.get_chemical_symbols(), dtype="U2")
    i, j = matched.pairs.T
    right = true_symbols[i] == symbols[j]
    values["classification_rate_pct"] = 100 * float(right.sum()) / len(true_symbols)
    for element in sorted(set(true_symbols.tolist())):
        of_element, total = true_symbols[i] == element, int((true_symbols == element).sum())
        values[f"recall_{element}_pct"] = 100 * float(of_element.sum()) / total
        values[f"identified_{element}_pct"] = 100 * float((of_element & right).sum()) / total
    return values
