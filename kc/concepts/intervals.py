"""A number over images, with what can be said about its error."""

import math
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import stats
from torch import Tensor

LEAST = 3
"""Fewer images than these give no interval."""


class Interval(NamedTuple):
    """A number over images with its 95 % interval, in the unit of what was given."""

    value: float
    low: float
    """NaN where there are too few images to say."""
    high: float
    n_images: int


def over_images(
    values: Float[Tensor, " n"] | Int[Tensor, " n"],
    statistic: Literal["mean", "variance"] = "mean",
) -> Interval:
    """Average over images, or take their variance, with the jackknife and t(n - 1).

    NaN values are left out; without any other the value is NaN. For the mean the jackknife is
    the t interval. The variance is E[(v - E v)^2], and its interval is cut off at 0. The interval
    says nothing about training's randomness: all values are one network's.
    """
    numbers = values.double().cpu().numpy()
    numbers = numbers[~np.isnan(numbers)]
    n = len(numbers)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    value = float(numbers.mean() if statistic == "mean" else numbers.var())
    if n < LEAST:
        return Interval(value, math.nan, math.nan, n)
    theta = _without_one(numbers, statistic)
    error = math.sqrt((n - 1) / n * float(np.square(theta - theta.mean()).sum()))
    half = float(stats.t.ppf(0.975, n - 1)) * error
    low = value - half if statistic == "mean" else max(0.0, value - half)
    return Interval(value, low, value + half, n)


def _without_one(numbers: np.ndarray, statistic: str) -> np.ndarray:
    """Return the statistic without each of the numbers in turn."""
    n = len(numbers)
    away = numbers - numbers.mean()
    mean = -away / (n - 1)
    if statistic == "mean":
        return mean
    return np.asarray((np.square(away).sum() - np.square(away)) / (n - 1) - np.square(mean))
