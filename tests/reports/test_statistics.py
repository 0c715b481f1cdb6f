"""Paired tests against hand calculation and scipy, their symmetry, and their error rates by simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from benchsuite.reports.statistics import benjamini_hochberg, paired, sign_flips, winner

VALUES = st.floats(-1e3, 1e3, allow_nan=False).map(lambda value: round(value, 6))
PAIRS = st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=16)


def mirrored(result):
    return (-result.mean, -result.high, -result.low, result.p_better, result.p_worse, result.tail_better, result.tail_worse)


@given(PAIRS)
def test_worse_and_better_are_mirror_images(pairs):
    base, candidate = np.array(pairs).T
    one, other = paired(base, candidate, margin=0.5), paired(-base, -candidate, margin=0.5)
    numbers = (one.mean, one.low, one.high, one.p_worse, one.p_better, one.tail_worse, one.tail_better)
    np.testing.assert_allclose(numbers, mirrored(other), rtol=1e-9, atol=1e-9)
    if len(pairs) >= 5:  # of fewer, the spread is taken from the base
        swapped = paired(candidate, base, margin=0.5)
        np.testing.assert_allclose(numbers, mirrored(swapped), rtol=1e-9, atol=1e-9)


@given(PAIRS, st.floats(0.1, 10))
def test_verdicts_exclude_each_other(pairs, margin):
    base, candidate = np.array(pairs).T
    found = paired(base, candidate, margin=margin)
    assert found.worse + found.better + found.within <= 1
    assert found.low <= found.mean <= found.high


@pytest.mark.parametrize("n", [5, 6, 13, 20])
def test_t_is_that_of_scipy(n):
    base, candidate = np.random.default_rng(n).normal(10, 1, (2, n))
    found, expected = paired(base, candidate, margin=1), scipy.stats.ttest_rel(candidate, base, alternative="greater")
    assert found.how == "t"
    assert found.p_worse == pytest.approx(expected.pvalue)
    assert found.low == pytest.approx(expected.confidence_interval(0.99).low)


@pytest.mark.parametrize("n", [7, 10])
def test_sign_flips_are_those_of_scipy(n):
    harm = np.random.default_rng(n).normal(0.3, 1, n)
    expected = scipy.stats.permutation_test(
        (harm, np.zeros(n)), lambda a, b: np.mean(a - b), permutation_type="samples", alternative="greater", n_resamples=np.inf
    )
    assert sign_flips(harm)[0] == pytest.approx(expected.pvalue)
    assert paired(np.zeros(n), harm, margin=1).how == "sign flips"


def test_one_pair_tells_40_from_4_but_not_4_1():
    assert paired([4.0], [40.0], margin=0.5).worse
    assert paired([40.0], [4.0], margin=0.5).better
    near = paired([4.0], [4.1], margin=0.5)
    assert (near.worse, near.better, near.within) == (False, False, False)
    assert near.how == "moderated t"


def test_the_moderated_t_by_hand():
    found = paired([10.0, 10.0, 10.0], [11.0, 12.0, 13.0], margin=0.2)  # prior 0.5 with 2 degrees, own variance 1 with 2
    error = np.sqrt((2 * 0.25 + 2 * 1.0) / 4 / 3)
    assert found.p_worse == pytest.approx(scipy.stats.t.sf(2.0 / error, 4))


@pytest.mark.parametrize("n", [1, 5, 8, 20])
def test_equal_values_are_unchanged_however_few(n):
    found = paired([3.0] * n, [3.0] * n, margin=1e-9)
    assert found.how == "equal"
    assert found.within


def test_rounding_is_unchanged_however_few():
    assert paired([4.0], [4.0 + 1e-6], margin=0.5).within
    assert not paired([4.0], [4.02], margin=0.5).within


def test_unpaired_values_are_refused():
    for base, candidate in (([], []), ([1.0], [1.0, 2.0]), ([np.nan], [1.0]), ([1.0], [np.inf])):
        with pytest.raises(ValueError, match="pair"):
            paired(base, candidate, margin=1)
    with pytest.raises(ValueError, match="margin"):
        paired([1.0], [1.0], margin=0)


def alarms(n, change, trials=4000):
    """How often a change is called a regression: 5% spread between seeds that both share, 1% own noise, margin 2%."""
    rng = np.random.default_rng([n, int(1000 * change)])
    shared = 10 * (1 + 0.05 * rng.standard_normal((trials, n)))
    base, candidate = (shared * (1 + mean + 0.01 * rng.standard_normal((trials, n))) for mean in (0, change))
    found = [paired(b, c, margin=0.02 * b.mean()) for b, c in zip(base, candidate, strict=True)]
    return np.mean([one.worse for one in found])


def test_false_alarms_and_power_at_five_repeats():
    assert alarms(5, 0.0) <= 0.01
    assert alarms(5, 0.04) >= 0.90


@pytest.mark.parametrize("n", [1, 3, 8, 15])
def test_false_alarms_at_other_numbers_of_repeats(n):
    assert alarms(n, 0.0, 2000) <= 0.01


def test_ten_repeats_find_four_percent():
    assert alarms(10, 0.04, 1000) >= 0.97


@given(st.lists(st.floats(0, 1), max_size=30))
def test_the_correction_is_that_of_scipy(p):
    expected = scipy.stats.false_discovery_control(p) if p else []
    np.testing.assert_allclose(benjamini_hochberg(p), expected, rtol=1e-12)


def test_the_winner_and_its_ties():
    rng = np.random.default_rng(0)
    seeds = 10 + rng.normal(0, 1, 6)
    samples = {"good": seeds + rng.normal(0, 0.1, 6), "as good": seeds + rng.normal(0, 0.1, 6), "bad": seeds + 2}
    found = winner(samples, "lower")
    assert found.name in ("good", "as good")
    assert found.ties == tuple({"good", "as good"} - {found.name})
    assert found.against["bad"] > 0.99
    assert winner(samples, "higher").name == "bad"
    assert winner({**samples, "failed": [0.0] * 5 + [np.nan]}, "lower").name == found.name
    assert np.isnan(winner({"alone": [1.0]}, "lower").confidence)
    with pytest.raises(ValueError, match="no method"):
        winner({"failed": [np.nan]}, "lower")


def test_equal_methods_rarely_have_a_winner():
    rng = np.random.default_rng(1)
    found = [winner({str(i): row for i, row in enumerate(rng.normal(0, 1, (4, 5)))}, "lower") for _ in range(2000)]
    assert np.mean([len(one.ties) < 3 and one.confidence >= 0.95 for one in found]) <= 0.05
