"""Estimates that outliers do not spoil."""

from __future__ import annotations

import numpy as np

NORMAL_DEVIATION = 1.4826  # standard deviation of a normal distribution over its median absolute deviation


def robust_deviation(values: np.ndarray) -> float:
    """Return the standard deviation of normally distributed values, from their median absolute deviation."""
    return NORMAL_DEVIATION * float(np.median(np.abs(values - np.median(values))))
