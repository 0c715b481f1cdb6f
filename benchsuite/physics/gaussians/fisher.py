"""How well atoms are known: the curvature of the loss, and how far the images of a series disagree about them.

With H = c F the curvature of the loss (F the Fisher information of one electron per position, c as in `PatternModel.curvature`)
and g_i the gradient of image i at the minimum, the covariance of the parameters of an atom is H⁻¹ (Σ_i g_i g_iᵀ) H⁻¹ (Huber 1967;
White, Econometrica 50 (1982) 1, doi:10.2307/1912526): counting noise, and whatever else differs from image to image, such as
thermal displacements that were not averaged out. The sum over few images is noisy for one atom. The covariance is therefore taken
to be D F⁻¹ D, with a diagonal D of a factor for each kind of parameter that an atom shares with those of similar weight. With N
electrons per position, nothing but counting noise, and the likelihood as the loss, the factors are 1/√N and the covariance
F⁻¹/N, the Cramér–Rao bound. Errors of the model that are alike in all images do not show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

RIDGE = 1e-6  # added to blocks of unit diagonal
MIN_FREE_PART = 0.2  # of 1 − h, which is an estimate
NEIGHBOUR_ATOMS = 40  # atoms of similar weight that share their factors


@dataclass(frozen=True)
class Information:
    """Fisher information: a block (n, 5, 5) for each atom; the part of its diagonal that each image tells (images, n, 5); the
    diagonal for each view (images, 5).
    """

    blocks: np.ndarray
    by_image: np.ndarray
    by_view: np.ndarray


def disagreement(by_atom: np.ndarray, known: Information, weight: np.ndarray, curvature: float, electrons: float) -> np.ndarray:
    """Return the factors (n, 5) for x, y, z, W, B by which F^(−1/2) is the standard deviation; at least 1/√electrons.

    by_atom: (images, n, 5) gradients at the minimum; weight: (n,); electrons: N, inf without a dose. An image that tells a part h
    of all that is known of an atom pulls it towards itself: its gradient is less by 1 − h than it would be without that pull (the
    correction HC3 of MacKinnon & White, J. Econom. 29 (1985) 305, doi:10.1016/0304-4076(85)90158-7).
    """
    atoms = len(weight)
    diagonal = np.einsum("nii->ni", known.blocks)
    known_of = diagonal > 0
    pull = np.divide(known.by_image, diagonal, out=np.zeros_like(by_atom), where=known_of)
    apart = by_atom - by_atom.mean(axis=0)  # a census comes before the minimum: what all images ask for is a step, no disagreement
    squares = ((apart / np.maximum(1 - pull, MIN_FREE_PART)) ** 2).sum(axis=0) / curvature**2
    ratio = np.divide(squares, diagonal, out=np.zeros_like(squares), where=known_of)
    order = np.argsort(weight, kind="stable")
    sums = np.concatenate([np.zeros((1, 5)), np.cumsum(ratio[order], axis=0)])
    count = min(NEIGHBOUR_ATOMS, atoms)
    first = np.clip(np.arange(atoms) - count // 2, 0, atoms - count)
    factors = np.empty_like(ratio)
    factors[order] = np.sqrt((sums[first + count] - sums[first]) / count)
    return np.maximum(factors, 1 / math.sqrt(electrons) if math.isfinite(electrons) else 0.0)


def covariance(blocks: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return the covariance (n, 5, 5) of the parameters of every atom; infinite variances where an atom is not seen."""
    diagonal = np.einsum("nii->ni", blocks)
    known = (diagonal > 0).all(axis=1)
    result = np.tile(np.diag(np.full(5, np.inf)), (len(blocks), 1, 1))
    scale = np.sqrt(diagonal[known])
    scaled = factors[known] / scale
    inverse = np.linalg.inv(blocks[known] / (scale[:, :, None] * scale[:, None, :]) + RIDGE * np.eye(5))
    result[known] = inverse * scaled[:, :, None] * scaled[:, None, :]
    return result


def deviations(covariances: np.ndarray) -> np.ndarray:
    """Return the standard deviations (n, 5) of x, y, z (Å), W, B (Å²)."""
    return np.sqrt(np.einsum("nii->ni", covariances))
