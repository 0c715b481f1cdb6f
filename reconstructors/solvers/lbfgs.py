"""L-BFGS: quasi-Newton directions from pairs of steps and changes of the gradient.

J. Nocedal, Math. Comp. 35 (1980) 773, doi:10.1090/S0025-5718-1980-0572855-7. The loop is the caller's: a fit reports every
iteration, may change its number of parameters on the way, and goes on with equal bits after an interruption.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

PAIRS = 8  # pairs kept
MIN_CONVEXITY = 1e-8  # least cosine of the angle between a step and the change of the gradient along it


class LBFGS:
    """The pairs (k, n) of steps and changes of the gradient so far, the latest last."""

    def __init__(self, size: int) -> None:
        self.steps, self.changes = np.empty((0, size)), np.empty((0, size))

    def learn(self, step: np.ndarray, change: np.ndarray) -> None:
        """Take in a pair (n,), unless the loss is not convex along it."""
        if step @ change > MIN_CONVEXITY * np.linalg.norm(step) * np.linalg.norm(change):
            self.steps = np.concatenate([self.steps, step[None]])[-PAIRS:]
            self.changes = np.concatenate([self.changes, change[None]])[-PAIRS:]

    def forget(self) -> None:
        """Drop all pairs."""
        self.steps, self.changes = self.steps[:0], self.changes[:0]

    def direction(self, gradient: np.ndarray, curvature: float) -> np.ndarray:
        """Return the quasi-Newton step downhill (n,); `curvature` is that of the loss as long as there is no pair."""
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
        """Return arrays from which `resume` goes on."""
        return {"lbfgs_steps": self.steps, "lbfgs_changes": self.changes}

    def resume(self, saved: Mapping[str, np.ndarray]) -> None:
        """Go on from a snapshot, which may hold other arrays, too."""
        self.steps, self.changes = np.array(saved["lbfgs_steps"]), np.array(saved["lbfgs_changes"])
