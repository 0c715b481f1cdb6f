"""L-BFGS on quadratics whose minimum is known."""

from __future__ import annotations

import numpy as np

from benchsuite.reconstructors.solvers.lbfgs import LBFGS, PAIRS


def test_lbfgs_finds_the_minimum_of_a_long_valley():
    """A quadratic with curvatures from 1 to 10⁴ in 40 dimensions, with steps of length 1 and the curvature known to a factor."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    hessian = axes @ np.diag(np.geomspace(1, 1e4, 40)) @ axes.T
    minimum = rng.normal(size=40)
    x, lbfgs, best = np.zeros(40), LBFGS(40), np.inf
    gradient = hessian @ (x - minimum)
    start = np.linalg.norm(gradient)
    for _ in range(250):
        step = lbfgs.direction(gradient, 1e4)
        changed = hessian @ (x + step - minimum)
        lbfgs.learn(step, changed - gradient)
        x, gradient = x + step, changed
        best = min(best, np.linalg.norm(gradient))
    assert best < 1e-4 * start, "steepest descent with that step is at 2e-2 by then"
    assert len(lbfgs.steps) == PAIRS


def test_lbfgs_refuses_pairs_that_are_not_convex_and_resumes_with_the_others():
    lbfgs, step = LBFGS(3), np.array([1.0, 0.0, 0.0])
    for change in (-step, np.array([0.0, 1.0, 0.0]), np.array([np.nan, 0, 0])):
        lbfgs.learn(step, change)
    assert len(lbfgs.steps) == 0
    np.testing.assert_allclose(lbfgs.direction(np.array([2.0, 4.0, 0.0]), 2.0), [-1, -2, 0])
    lbfgs.learn(step, 4 * step)
    assert len(lbfgs.steps) == 1
    again = LBFGS(0)
    again.resume(lbfgs.snapshot())
    np.testing.assert_array_equal(again.direction(np.ones(3), 1.0), lbfgs.direction(np.ones(3), 1.0))
