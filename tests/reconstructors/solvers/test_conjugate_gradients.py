"""Conjugate gradients: as many iterations as unknowns solve a quadratic."""

from __future__ import annotations

import numpy as np

from benchsuite.reconstructors.solvers.conjugate_gradients import conjugate_gradients


def test_conjugate_gradients_solves_in_as_many_iterations_as_there_are_eigenvalues():
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    hessian = axes @ np.diag(np.repeat([1.0, 7.0, 300.0], 4)) @ axes.T
    minimum, start = rng.normal(size=12), rng.normal(size=12)
    before = start.copy()
    found = [conjugate_gradients(lambda d: hessian @ d, start, hessian @ (minimum - start), n) for n in (2, 3)]
    assert np.abs(found[0] - minimum).max() > 1e-3
    np.testing.assert_allclose(found[1], minimum, atol=1e-9)
    np.testing.assert_array_equal(start, before)


def test_conjugate_gradients_ends_at_the_minimum():
    x = np.array([1.0, 2.0])
    np.testing.assert_array_equal(conjugate_gradients(lambda d: d, x, np.zeros(2), 5), x)
