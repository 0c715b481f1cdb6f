"""Estimates that outliers do not spoil."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.physics.statistics import robust_deviation


def test_robust_deviation_of_normal_values_is_theirs_whatever_a_few_outliers_are():
    values = np.random.default_rng(0).normal(5.0, 2.0, 100_000)
    values[:100] = 1e6
    assert robust_deviation(values) == pytest.approx(2.0, rel=0.02)
