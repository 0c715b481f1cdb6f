"""How far traced atoms are from the true ones, and how many are missing or false, as Lee et al. (2023) define it (sec. II F).

    RMSD           √(mean squared distance) of matched atoms after the common shift is removed
    tracing error  (false positives + false negatives) / true atoms
    OSPA           √((Σ squared distances of matched atoms + c² · unmatched) / max(true, traced))

c is the cut-off of the matching, "unmatched" counts the longer list. OSPA (Schuhmacher, Vo & Vo, IEEE Trans. Signal Process. 56
(2008) 3447, doi:10.1109/TSP.2008.920469; order 2) is what methods are ranked by: leaving out an atom cannot make it better, as it
can the RMSD. Non-atoms ("X") are no traced atoms.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchsuite.columns import Column, Margin
from benchsuite.contract.metric import Matched, Metric, Scored
from benchsuite.data import is_atom, particle_of
from benchsuite.params import Params

POSITION = Margin(0.02, 0.5)


class Positions(Metric[Params]):
    title = "Distances of traced from true atoms"
    reference = "Lee et al. (2023); Schuhmacher, Vo & Vo (2008), doi:10.1109/TSP.2008.920469"
    default = True
    order = 10
    columns = (
        Column(
            "rmsd_pm", "RMSD", "pm", "lower", POSITION, "headline",
            "Root mean square distance of matched atoms after their common shift is removed", ranking=2,
        ),
        Column("n_matched", "Matched atoms", description="True atoms with a traced atom within the matching cut-off"),
        Column(
            "ospa_pm", "OSPA distance", "pm", "lower", POSITION,
            description="RMSD in which every unmatched atom counts as the matching cut-off; the score by which methods are ranked",
            ranking=1,
        ),
        Column(
            "tracing_error_pct", "Tracing error", "%", "lower", Margin(0.02, 0.1, "n_true"), "headline",
            "False positives and false negatives as a percentage of the true atoms",
        ),
        Column("n_true", "True atoms", role="fact"),
        Column("n_false_positive", "False positives", role="detail", description="Traced atoms where there is no true one"),
        Column("n_missed", "False negatives", role="detail", description="True atoms without a traced one"),
        Column("rmsd_<El>_pm", "RMSD of <El>", "pm", "lower", POSITION, "detail"),
        Column("match_cutoff_A", "Matching cut-off", "Å", role="fact"),
        Column("shift_<axis>_A", "Common shift along <axis>", "Å", role="fact"),
        Column("rotation_deg", "Common rotation", "°", role="fact"),
    )  # fmt: skip

    def measure(self, scored: Scored) -> Mapping[str, float]:
        if scored.truth is not None and scored.traced is not None:
            return position_scores(scored)
        if scored.specimen is not None and scored.traced is None:  # a single view: nothing to match
            return {"n_true": len(particle_of(scored.specimen))}
        return {}


def position_scores(matched: Matched) -> dict[str, float]:
    """Return the scores of matched atoms."""
    assert matched.truth is not None
    assert matched.traced is not None
    true_symbols = np.array(matched.truth.get_chemical_symbols(), dtype="U2")
    distance, true = matched.distance_A, matched.pairs[:, 0]
    n_true, n_matched = len(matched.truth), len(distance)
    n_traced = int(is_atom(matched.traced).sum())
    false_positive, missed = n_traced - n_matched, n_true - n_matched
    elements = sorted(set(true_symbols.tolist()))
    return {
        "rmsd_pm": 100 * rms(distance),
        "n_matched": n_matched,
        "ospa_pm": 100 * ospa_A(distance, n_true, n_traced, matched.cutoff_A),
        "tracing_error_pct": 100 * (false_positive + missed) / n_true,
        "n_true": n_true,
        "n_false_positive": false_positive,
        "n_missed": missed,
        **{f"rmsd_{element}_pm": 100 * rms(distance[true_symbols[true] == element]) for element in elements},
        "match_cutoff_A": matched.cutoff_A,
        **{f"shift_{axis}_A": float(matched.shift_A[k]) for k, axis in enumerate("xyz")},
        "rotation_deg": float(np.rad2deg(np.arccos(np.clip((np.trace(matched.rotation) - 1) / 2, -1, 1)))),
    }


def rms(distance_A: np.ndarray) -> float:
    """Return the root mean square of distances (n,); nan of none."""
    return float(np.sqrt((distance_A**2).mean())) if len(distance_A) else float("nan")


def ospa_A(distance_A: np.ndarray, n_true: int, n_traced: int, cutoff_A: float) -> float:
    """Return the OSPA distance of order 2 of two lists of atoms whose matched pairs are these distances (n,) apart."""
    longer = max(n_true, n_traced)
    return float(np.sqrt(((distance_A**2).sum() + cutoff_A**2 * (longer - len(distance_A))) / longer))
