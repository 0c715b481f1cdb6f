"""Coordinates in which the Fisher information of every atom is the identity: steps of one length are equally safe for all."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

DAMPING = 1e-2  # part of the diagonal of the information that is added to it


class Coordinates:
    """The coordinates: y = Cᵀ θ of every atom with information C Cᵀ; of views, which are held or move alone, √diagonal."""

    def __init__(self, blocks: np.ndarray, views: np.ndarray) -> None:
        diagonal = np.einsum("nii->ni", blocks)
        floor = 1e-6 * diagonal.max(axis=0) + np.finfo(float).tiny
        damped = blocks + np.eye(5) * np.maximum(DAMPING * diagonal, floor)[:, None, :]
        self.blocks, self.views = blocks, views
        self.factor = np.linalg.cholesky(damped)
        self.inverse = np.linalg.inv(self.factor)
        self.of_views = np.sqrt(views * (1 + DAMPING))

    def snapshot(self) -> dict[str, np.ndarray]:
        return {"information_of_atoms": self.blocks, "information_of_views": self.views}

    @classmethod
    def resumed(cls, saved: Mapping[str, np.ndarray]) -> Coordinates:
        return cls(np.array(saved["information_of_atoms"]), np.array(saved["information_of_views"]))

    def flat(self, by_atom: np.ndarray, by_view: np.ndarray) -> np.ndarray:
        """Return a gradient in these coordinates, as one vector; views without information are held."""
        of_views = np.divide(by_view, self.of_views, out=np.zeros_like(by_view), where=self.of_views > 0)
        return np.concatenate([np.einsum("nij,nj->ni", self.inverse, by_atom).ravel(), of_views.ravel()])

    def step(self, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the step of atoms (n, 5) and views (m, 5) that a vector of these coordinates is."""
        atoms, views = np.split(flat, [5 * len(self.factor)])
        of_views = views.reshape(-1, 5)
        moved = np.divide(of_views, self.of_views, out=np.zeros_like(of_views), where=self.of_views > 0)
        return np.einsum("nji,nj->ni", self.inverse, atoms.reshape(-1, 5)), moved

    def of_step(self, atoms: np.ndarray, views: np.ndarray) -> np.ndarray:
        """Return the vector of a step."""
        return np.concatenate([np.einsum("nji,nj->ni", self.factor, atoms).ravel(), (views * self.of_views).ravel()])
