"""FISTA: gradient, bound of the spectrum, known minimum, order of convergence, and going on after an interruption."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls

from benchsuite.contract_suite import small_problem
from benchsuite.physics.projection.projector import Projector
from benchsuite.reconstructors.solvers.fista import FISTA, half_square, largest_eigenvalue, nonnegative_least_squares


class Dense:
    """A matrix as a linear map."""

    xp = np

    def __init__(self, matrix):
        self.matrix = matrix

    def forward(self, x):
        return self.matrix @ x

    def adjoint(self, y):
        return self.matrix.T @ y


def ill_conditioned(rng, size=30):
    matrix = rng.random((2 * size, size)) * np.geomspace(1, 0.03, size)
    return Dense(matrix), rng.standard_normal(2 * size) + matrix.sum(axis=1)


def test_half_square_and_adjoint_pass_the_taylor_test():
    series, grid = small_problem()
    rng = np.random.default_rng(1)
    projector = Projector(series.rotations, grid, series.scan_shape, series.scan_step_A)
    measured = series.data[:, 0].astype(np.float64)
    volume, direction = rng.random(grid.shape), rng.standard_normal(grid.shape)

    def loss(v):
        return half_square(projector.forward(v) - measured)

    slope = float((projector.adjoint(projector.forward(volume) - measured) * direction).sum())
    steps = np.array([1e-1, 1e-2, 1e-3])
    remainder = [abs(loss(volume + h * direction) - loss(volume) - h * slope) for h in steps]
    order = np.polyfit(np.log(steps), np.log(remainder), 1)[0]
    assert order == pytest.approx(2.0, abs=0.1)


def test_largest_eigenvalue_is_above_the_spectrum_and_near_it():
    series, grid = small_problem()
    projector = Projector(series.rotations, grid, series.scan_shape, series.scan_step_A)
    x = np.random.default_rng(0).random(grid.shape)
    for _ in range(60):
        x = projector.adjoint(projector.forward(x / np.linalg.norm(x)))
    top = float(np.linalg.norm(x))
    bound = largest_eigenvalue(projector, projector.grid.shape)
    assert top * (1 - 1e-4) <= bound <= 1.3 * top


def test_fista_finds_the_minimum_of_nonnegative_least_squares():
    operator, measured = ill_conditioned(np.random.default_rng(0))
    step = 1 / np.linalg.norm(operator.matrix, 2) ** 2
    found = nonnegative_least_squares(operator, measured, np.zeros(30), step, 20000)
    expected, _ = nnls(operator.matrix, measured)
    assert (expected == 0).any(), "the constraint holds somewhere"
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_fista_falls_with_the_square_of_the_iterations_and_never_far_above_its_least_loss():
    operator, measured = ill_conditioned(np.random.default_rng(1))
    step = 1 / np.linalg.norm(operator.matrix, 2) ** 2
    solver = FISTA(operator, measured, np.zeros(30), step)
    losses = np.array([solver.advance() for _ in range(300)])
    expected, residual = nnls(operator.matrix, measured)
    bound = 2 * (expected**2).sum() / step / (np.arange(1, 301) + 1) ** 2  # Beck & Teboulle, theorem 4.4
    assert (losses - residual**2 / 2 <= bound).all()
    assert losses[-1] <= 1.001 * losses.min()


def test_fista_resumes_with_equal_bits():
    operator, measured = ill_conditioned(np.random.default_rng(2))
    solver, whole = (FISTA(operator, measured, np.zeros(30), 0.01) for _ in range(2))
    losses = [whole.advance() for _ in range(9)]
    for _ in range(4):
        solver.advance()
    again = FISTA(operator, measured, np.zeros(30), 0.01)
    again.resume({name: np.array(array) for name, array in solver.snapshot().items()})
    assert again.iteration == 4
    assert [again.advance() for _ in range(5)] == losses[4:]
    np.testing.assert_array_equal(again.x, whole.x)
