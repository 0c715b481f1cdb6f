"""Regularisers: their values as defined, and gradients by the Taylor test."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.reconstructors.regularisers import TotalVariation


def test_total_variation_of_a_step_is_its_area_and_height():
    volume = np.zeros((4, 5, 6))
    volume[2:] = 7.0
    assert TotalVariation(1e-6).value(volume) == pytest.approx(7.0 * 5 * 6, rel=1e-3)


def test_gradient_of_total_variation_passes_the_taylor_test():
    rng = np.random.default_rng(0)
    volume, direction = rng.normal(size=(6, 7, 8)), rng.normal(size=(6, 7, 8))
    part = TotalVariation(0.3)
    slope = float((part.gradient(volume) * direction).sum())
    steps = np.array([1e-2, 1e-3, 1e-4])
    remainders = [abs(part.value(volume + h * direction) - part.value(volume) - h * slope) for h in steps]
    assert np.polyfit(np.log(steps), np.log(remainders), 1)[0] == pytest.approx(2.0, abs=0.1)
