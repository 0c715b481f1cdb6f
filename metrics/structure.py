"""Distances between atoms: the pair distribution of a finite cluster, the error of bond lengths, what lies in a substrate."""

from __future__ import annotations

import numpy as np
from ase import Atoms

BIN_A = 0.05
LONGEST_A = 10.0
BOND_FACTOR = 1.25


def pair_distribution(positions: np.ndarray, longest_A: float = LONGEST_A, bin_A: float = BIN_A) -> tuple[np.ndarray, np.ndarray]:
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
    pairs = cKDTree(truth).query_pairs(BOND_FACTOR * nearest, output_type="ndarray")
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
