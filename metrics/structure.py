"""Distances between atoms: the pair distribution of a finite cluster, the error of bond lengths, what lies in a substrate."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from benchsuite.columns import Column
from benchsuite.contract.metric import Matched, Metric, Scored, Scores
from benchsuite.data import is_atom
from benchsuite.metrics.positions import POSITION
from benchsuite.params import Params

BIN_A = 0.05
MAX_DISTANCE_A = 10.0
MAX_BOND_FACTOR = 1.25


class Structure(Metric[Params]):
    """Curves: the pair distributions of truth and traced atoms (non-atoms left out) on common distances."""

    title = "Distances between atoms"
    reference = "Lee et al. (2023)"
    default = True
    order = 63
    columns = (
        Column(
            "bond_length_error_pm", "Bond-length error", "pm", "lower", POSITION,
            description="Root mean square error of nearest-neighbour bond lengths",
        ),
    )  # fmt: skip

    def measure(self, scored: Scored) -> Scores:
        truth, traced, found = scored.truth, scored.traced, scored.positions_found
        if traced is None:
            return Scores({})
        distance, of_traced = pair_distribution(found[is_atom(traced)])
        if truth is None:
            return Scores({}, {"pdf_distance_A": distance, "pdf_traced": of_traced})
        of_truth = pair_distribution(truth.positions)[1]
        curves = {"pdf_distance_A": distance, "pdf_truth": of_truth, "pdf_traced": of_traced}
        return Scores(bond_scores(scored), curves)


def bond_scores(matched: Matched) -> dict[str, float]:
    """Return the error of the bond lengths of matched atoms."""
    assert matched.truth is not None
    i, j = matched.pairs.T
    true = matched.truth.positions
    return {"bond_length_error_pm": 100 * bond_length_error_A(true[i], matched.positions_found[j], true)}


def pair_distribution(
    positions: np.ndarray, longest_A: float = MAX_DISTANCE_A, bin_A: float = BIN_A
) -> tuple[np.ndarray, np.ndarray]:
    """Return (distance in Å, neighbours per atom and Å) of positions (n, 3). Not normalised by a density: a cluster has none."""
    from scipy.spatial import cKDTree

    edges = np.arange(0.0, longest_A + bin_A / 2, bin_A)
    centres = (edges[1:] + edges[:-1]) / 2
    if len(positions) < 2:
        return centres, np.zeros(len(centres))
    tree = cKDTree(positions)
    cumulative = tree.count_neighbors(tree, edges).astype(np.float64)
    return centres, np.diff(cumulative) / len(positions) / bin_A


def bond_length_error_A(truth: np.ndarray, traced: np.ndarray, all_true: np.ndarray) -> float:
    """Return the root mean square error in Å of the nearest-neighbour bonds between matched atoms truth[k] ~ traced[k].

    A bond joins two true atoms nearer than 1.25 times the median nearest-neighbour distance of all of them. nan without bonds.
    """
    from scipy.spatial import cKDTree

    if len(truth) < 2:
        return float("nan")
    nearest = float(np.median(np.asarray(cKDTree(all_true).query(all_true, k=2)[0])[:, 1]))
    pairs = cKDTree(truth).query_pairs(MAX_BOND_FACTOR * nearest, output_type="ndarray")
    if len(pairs) == 0:
        return float("nan")
    a, b = pairs.T
    error = np.linalg.norm(traced[a] - traced[b], axis=1) - np.linalg.norm(truth[a] - truth[b], axis=1)
    return float(np.sqrt((error**2).mean()))


def outside(traced: Atoms, particle: np.ndarray, substrate: np.ndarray) -> Atoms:
    """Return the traced atoms without those that are nearer to an atom of the substrate (m, 3) than to one of the particle (n, 3).

    What a method makes of the substrate is neither right nor wrong.
    """
    from scipy.spatial import cKDTree

    if len(substrate) == 0 or len(traced) == 0:
        return traced
    to_particle, to_substrate = (np.asarray(cKDTree(atoms).query(traced.positions)[0]) for atoms in (particle, substrate))
    return traced[to_particle <= to_substrate]
