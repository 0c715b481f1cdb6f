"""Adam: the update of the paper, parts of an array by themselves, a known minimum, and going on after an interruption."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.reconstructors.solvers.adam import Adam, Rates

RATES = Rates(momentum=0.9, memory=0.99, damping=0.0, floor=1e-8)


def step(adam, gradient, where=()):
    mean, scale, correction = adam.update(gradient, where)
    return mean / (correction * scale)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex64])
def test_adam_is_the_algorithm_of_the_paper(dtype):
    """m and v as sums over all gradients, Kingma & Ba eq. 1, with their corrections for the start."""
    rng = np.random.default_rng(0)
    gradients = (rng.standard_normal((6, 5)) + (1j * rng.standard_normal((6, 5)) if dtype == np.complex64 else 0)).astype(dtype)
    adam = Adam(RATES, np.zeros(5, dtype))
    for count, gradient in enumerate(gradients, 1):
        found, ages = step(adam, gradient), np.arange(count)[::-1, None]
        mean = 0.1 * (0.9**ages * gradients[:count]).sum(axis=0) / (1 - 0.9**count)
        square = 0.01 * (0.99**ages * abs(gradients[:count]) ** 2).sum(axis=0) / (1 - 0.99**count)
        np.testing.assert_allclose(found, mean / (np.sqrt(square) + 1e-8), rtol=1e-4 if dtype != np.float64 else 1e-12)
        assert found.dtype == dtype
        assert adam.rms() == pytest.approx(np.sqrt(square.mean()), rel=1e-4)


def test_adam_updates_parts_of_an_array_as_if_each_were_alone():
    rng = np.random.default_rng(1)
    together, alone = Adam(RATES, np.zeros((2, 4, 3)), axes=2), [Adam(RATES, np.zeros((1, 3))) for _ in range(8)]
    for tilt, some in [(0, slice(0, 2)), (1, np.array([3, 1])), (0, slice(1, 4)), (0, np.array([1]))]:
        members = np.arange(4)[some]
        gradient = rng.standard_normal((len(members), 3))
        found = step(together, gradient, (tilt, some))
        np.testing.assert_allclose(
            found, [step(alone[4 * tilt + k], row[None])[0] for k, row in zip(members, gradient, strict=True)]
        )
    assert together.count.tolist() == [[1, 3, 1, 1], [0, 1, 0, 1]]


def test_adam_with_fading_steps_ends_at_the_minimum():
    x, minimum, curvature = np.zeros(3), np.array([1.0, -2.0, 3.0]), np.array([1.0, 30.0, 1000.0])
    adam = Adam(RATES, x)
    for k in range(600):
        x = x - 0.1 * (1 - k / 600) * step(adam, curvature * (x - minimum))
    np.testing.assert_allclose(x, minimum, atol=1e-3)


def test_damping_bounds_the_steps_of_what_hardly_shows():
    damped = Adam(Rates(0.9, 0.99, damping=0.1), np.zeros(2))
    np.testing.assert_allclose(step(damped, np.array([1.0, 1e-3])), [1 / 1.1, 1e-3 / 0.101])
    assert step(Adam(RATES, np.zeros((0, 3))), np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("axes", [0, 1])
def test_adam_resumes_with_equal_bits(axes):
    gradients = np.random.default_rng(2).standard_normal((5, 3, 2)).astype(np.float32)
    where = (np.array([0, 2, 1]),) if axes else ()
    whole, first, again = (Adam(RATES, np.zeros((3, 2), np.float32), axes) for _ in range(3))
    steps = [step(whole, gradient, where) for gradient in gradients]
    for gradient in gradients[:3]:
        step(first, gradient, where)
    again.resume({name: np.array(array) for name, array in first.snapshot("x").items()}, "x")
    for gradient, expected in zip(gradients[3:], steps[3:], strict=True):
        np.testing.assert_array_equal(step(again, gradient, where), expected)
