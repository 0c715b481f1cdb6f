"""Predictions of cost grow as the work does: no wall clock."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite import registry
from benchsuite.contract_suite import problem_for


@pytest.mark.parametrize("name", [name for name in registry.names("reconstructor") if not registry.reconstructor(name).single_view])
def test_cost_grows_in_proportion_to_the_tilts(name):
    cls = registry.reconstructor(name)
    series, grid = problem_for(cls)
    one, two, three = (cls().cost((count * 100, *series.data.shape[1:]), grid) for count in (1, 2, 3))
    assert two.seconds > 1.1 * one.seconds
    np.testing.assert_allclose(three.seconds - two.seconds, two.seconds - one.seconds, rtol=1e-6)
    assert three.bytes >= two.bytes >= one.bytes


@pytest.mark.parametrize("name", [name for name in registry.names("reconstructor") if name != "wbp"])
def test_cost_grows_with_the_iterations(name):
    cls = registry.reconstructor(name)
    series, grid = problem_for(cls)
    few, many = (cls(cls.Params(iterations=count)).cost(series.data.shape, grid) for count in (30, 300))
    assert 2 < many.seconds / few.seconds <= 10.01 or many.seconds - few.seconds > 0.1
