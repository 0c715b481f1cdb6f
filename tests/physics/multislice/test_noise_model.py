"""Noise models: value and residual agree, the factor is the derivative by the intensity, and the minimum is at the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchsuite.contract_suite import small_problem
from benchsuite.physics.multislice.noise_model import AMPLITUDE, NOISE_FREE_FLOOR, Poisson, noise_model

MODELS = pytest.mark.parametrize("noise", [AMPLITUDE, Poisson(0.01)], ids=["amplitude", "poisson"])


def taken(noise, measured):
    return np.sqrt(measured) if noise.takes_roots else measured


@MODELS
def test_factor_is_the_derivative_of_the_loss_by_the_intensity(noise):
    rng = np.random.default_rng(0)
    calculated, measured, direction = rng.random((3, 4, 5)) + 0.1
    losses, factor = noise.residual(calculated, taken(noise, measured))
    assert losses.sum() == pytest.approx(noise.value(calculated, measured))
    slope, steps = float((factor * direction).sum()), np.array([1e-1, 1e-2, 1e-3])
    remainders = [abs(noise.value(calculated + h * direction, measured) - losses.sum() - h * slope) for h in steps]
    assert np.polyfit(np.log(steps), np.log(remainders), 1)[0] == pytest.approx(2.0, abs=0.1)


@MODELS
def test_loss_is_zero_at_the_data_and_positive_elsewhere(noise):
    measured = np.random.default_rng(1).random((4, 5))
    assert noise.value(measured, measured) == pytest.approx(0, abs=1e-12)
    assert noise.value(1.1 * measured, measured) > 0
    np.testing.assert_allclose(noise.residual(measured, taken(noise, measured))[1], 0, atol=1e-12)


def test_noise_model_of_a_series_follows_its_dose():
    exact, _ = small_problem("4dstem")
    dosed = replace(exact, dose_e_per_A2=1e4)
    assert noise_model("auto", exact) == AMPLITUDE
    assert noise_model("amplitude", dosed) == AMPLITUDE
    assert noise_model("poisson", exact) == Poisson(NOISE_FREE_FLOOR)
    assert noise_model("auto", dosed, 0.03) == Poisson(0.03 / dosed.electrons_per_position)
