"""Tests of paired differences: pure functions of arrays, with the hypothesis that each one tests.

Harm is candidate − base of one metric whose larger values are worse; callers flip the sign of the others. Pairs share the same
bytes (same seeds), so what seeds have in common drops out, and only the spread of the differences counts.

t test: Student (1908), doi:10.2307/2331554. Sign flips: Fisher, The Design of Experiments (1935), § 21. Moderated t: Smyth (2004),
doi:10.2202/1544-6115.1027. Correction over many tests: Benjamini & Hochberg (1995), doi:10.1111/j.2517-6161.1995.tb02031.x.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtr, stdtrit

CONFIDENCE = 0.99
FEWEST_PAIRS = 5  # whose spread alone is used
SIGN_FLIP_PAIRS = range(7, 13)  # below, no arrangement of signs is as rare as 1 in 100; beyond, t hardly differs
PRIOR_SPREAD = 0.05  # of the base value: usual difference of equally good results of different seeds
PRIOR_FREEDOM = 2.0
ROUNDING = 0.01  # of the margin: differences of the same computation between machines or libraries

Direction = Literal["lower", "higher"]
Values = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Paired:
    """What paired differences say about the mean harm, in the units of the metric.

    low, high: one-sided bounds, each at `confidence`. p_worse, p_better: one-sided p values of "the mean harm is not positive" and
    "is not negative", by the test that `how` names ("equal": every difference is exactly zero). tail_worse, tail_better: the same
    of the t distribution, for corrections over many tests: the p value of n sign flips is never below 2⁻ⁿ. largest: the largest
    difference of any pair, without its sign.
    """

    mean: float
    low: float
    high: float
    p_worse: float
    p_better: float
    tail_worse: float
    tail_better: float
    largest: float
    n: int
    how: Literal["equal", "t", "sign flips", "moderated t"]
    margin: float
    confidence: float

    @property
    def worse(self) -> bool:
        """Harm that is larger than the margin, and not by chance."""
        return self.mean > self.margin and self.low > 0 and self.p_worse <= 1 - self.confidence

    @property
    def better(self) -> bool:
        """Gain that is larger than the margin, and not by chance."""
        return self.mean < -self.margin and self.high < 0 and self.p_better <= 1 - self.confidence

    @property
    def within(self) -> bool:
        """Whether the whole interval lies inside the margin, or no difference is worth mentioning."""
        return (-self.margin <= self.low and self.high <= self.margin) or self.largest <= ROUNDING * self.margin


@dataclass(frozen=True)
class Winner:
    """The best of several methods. confidence: that it beats the next best, corrected for having been chosen; nan without rivals.

    against: the same for each other method. ties: those that it does not beat at the confidence asked for, best first.
    """

    name: str
    confidence: float
    ties: tuple[str, ...]
    against: Mapping[str, float]


def paired(base: Values, candidate: Values, *, margin: float, confidence: float = CONFIDENCE) -> Paired:
    """Compare equally long arrays of one metric, pair by pair; larger values are worse.

    Five pairs or more have a t test, 7 to 12 exact sign flips for p besides it. Fewer have a moderated t: to the spread of their
    own, if any, `PRIOR_FREEDOM` degrees of freedom are added of `PRIOR_SPREAD` of the base value, at least the margin. One pair can
    then say that 40 pm is worse than 4 pm, and not that 4.1 pm is.

    margin: in the units of the metric, positive. Raises ValueError for unequal lengths, no pairs, values that are not finite.
    """
    before, after = np.asarray(base, np.float64), np.asarray(candidate, np.float64)
    if before.shape != after.shape or before.ndim != 1 or not len(before):
        raise ValueError(f"pairs are two equally long lists of at least one value, not of shapes {before.shape} and {after.shape}")
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        raise ValueError("a value of a pair is not finite")
    if not (0 < margin < math.inf and 0.5 < confidence < 1):
        raise ValueError(f"margin {margin} must be positive and finite, confidence {confidence} between 0.5 and 1")
    harm = after - before
    mean, n = float(harm.mean()), len(harm)
    if not harm.any():
        return Paired(0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5, 0.0, n, "equal", margin, confidence)
    error, freedom = _standard_error(harm, max(PRIOR_SPREAD * float(np.abs(before).mean()), margin))
    reach = float(stdtrit(freedom, confidence)) * error
    tails = _tails(mean, error, freedom)
    p = sign_flips(harm) if n in SIGN_FLIP_PAIRS else tails
    plain: Literal["t", "moderated t"] = "t" if n >= FEWEST_PAIRS else "moderated t"
    how = "sign flips" if n in SIGN_FLIP_PAIRS else plain
    return Paired(mean, mean - reach, mean + reach, *p, *tails, float(np.abs(harm).max()), n, how, margin, confidence)


def _standard_error(harm: np.ndarray, prior: float) -> tuple[float, float]:
    """Return (standard error of the mean, degrees of freedom)."""
    n = len(harm)
    variance, freedom = (float(harm.var(ddof=1)) if n > 1 else 0.0), float(n - 1)
    if n < FEWEST_PAIRS:
        variance = (PRIOR_FREEDOM * prior**2 + freedom * variance) / (PRIOR_FREEDOM + freedom)
        freedom += PRIOR_FREEDOM
    return math.sqrt(variance / n), freedom


def _tails(mean: float, error: float, freedom: float) -> tuple[float, float]:
    if error == 0:
        return (0.0, 1.0) if mean > 0 else (1.0, 0.0)
    return float(stdtr(freedom, -mean / error)), float(stdtr(freedom, mean / error))


def sign_flips(harm: np.ndarray) -> tuple[float, float]:
    """Return the one-sided p values (worse, better): how many of the 2ⁿ arrangements of signs give a mean as large, or as small.

    Hypothesis: differences are symmetric about zero. `harm` (n,) with n of at most 12.
    """
    sums, observed = _signs(len(harm)) @ harm, harm.sum()
    slack = 1e-12 * np.abs(harm).sum()  # sums of the same numbers in another order are equal
    return float((sums >= observed - slack).mean()), float((sums <= observed + slack).mean())


@functools.cache
def _signs(n: int) -> np.ndarray:
    return np.array(list(itertools.product((1.0, -1.0), repeat=n)))


def benjamini_hochberg(p: Values) -> np.ndarray:
    """Return adjusted p values: rejecting those of at most q, a share q of the rejected is expected to be wrong."""
    values = np.asarray(p, np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError("p values must be a list of numbers from 0 to 1")
    order = np.argsort(values)[::-1]
    scaled = values[order] * len(values) / np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled), 1.0)
    return adjusted


def winner(samples: Mapping[str, Values], direction: Direction, *, confidence: float = 0.95) -> Winner:
    """Return the method with the best mean over the same repeats, and how sure it is that it beats each other one.

    samples: method → one value per repeat, in the same order for all; methods of which a value is not finite (a repeat failed) do
    not compete. p values are multiplied by the number of competitors, since any of them might have come out best.
    Raises ValueError where none competes, or lengths differ.
    """
    if direction not in ("lower", "higher"):
        raise ValueError(f"direction {direction!r}; allowed: lower, higher")
    sign = 1.0 if direction == "lower" else -1.0
    values = {name: sign * np.asarray(given, np.float64) for name, given in samples.items()}
    values = {name: given for name, given in values.items() if given.size and np.isfinite(given).all()}
    if not values:
        raise ValueError("no method has a value for every repeat")
    ranked = sorted(values, key=lambda name: float(values[name].mean()))
    best, others = ranked[0], ranked[1:]
    against = {name: _beats(values[best], values[name], len(ranked)) for name in others}
    ties = tuple(name for name in others if against[name] < confidence)
    return Winner(best, min(against.values(), default=math.nan), ties, against)


def _beats(best: np.ndarray, other: np.ndarray, competitors: int) -> float:
    smallest = float(np.finfo(np.float64).tiny)
    return max(0.0, 1.0 - competitors * paired(best, other, margin=smallest).tail_worse)
