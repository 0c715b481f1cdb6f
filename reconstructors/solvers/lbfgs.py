"""Quasi-Newton descent for atoms: L-BFGS in coordinates in which the Fisher information of every atom is the identity.

J. Nocedal, Math. Comp. 35 (1980) 773, doi:10.1090/S0025-5718-1980-0572855-7. A loop of its own because a fit is told sweep by
sweep, changes its number of atoms on the way, and goes on with the same bits after an interruption.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

MEMORY = 8  # pairs of steps and changes of the gradient
DAMPING = 1e-2  # of the diagonal of the information, added to it
SHRUNK = 0.3  # a step after which the loss has risen, and what is left of it


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
        return {"blocks": self.blocks, "block_of_views": self.views}

    @classmethod
    def resumed(cls, saved: Mapping[str, np.ndarray]) -> Coordinates:
        return cls(np.array(saved["blocks"]), np.array(saved["block_of_views"]))

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


class Memory:
    """What is known of the curvature beyond the information: pairs of steps and changes of the gradient, the latest last."""

    def __init__(self, size: int) -> None:
        self.steps, self.changes = np.empty((0, size)), np.empty((0, size))

    def learn(self, step: np.ndarray, change: np.ndarray) -> None:
        """Take a pair in, unless the loss is not convex along it."""
        if step @ change > 1e-8 * np.linalg.norm(step) * np.linalg.norm(change):
            self.steps = np.concatenate([self.steps, step[None]])[-MEMORY:]
            self.changes = np.concatenate([self.changes, change[None]])[-MEMORY:]

    def direction(self, gradient: np.ndarray, curvature: float) -> np.ndarray:
        """Return the quasi-Newton step downhill; `curvature` of the loss in these coordinates where nothing is known yet."""
        q, weights = gradient.copy(), []
        for step, change in zip(self.steps[::-1], self.changes[::-1], strict=True):
            weights.append(float(step @ q) / float(step @ change))
            q -= weights[-1] * change
        if len(self.steps):
            q *= float(self.steps[-1] @ self.changes[-1]) / float(self.changes[-1] @ self.changes[-1])
        else:
            q /= curvature
        for step, change, weight in zip(self.steps, self.changes, reversed(weights), strict=True):
            q += (weight - float(change @ q) / float(step @ change)) * step
        return -q

    def snapshot(self) -> dict[str, np.ndarray]:
        return {"memory_steps": self.steps, "memory_changes": self.changes}

    @classmethod
    def resumed(cls, saved: Mapping[str, np.ndarray]) -> Memory:
        memory = cls(saved["memory_steps"].shape[1])
        memory.steps, memory.changes = np.array(saved["memory_steps"]), np.array(saved["memory_changes"])
        return memory
