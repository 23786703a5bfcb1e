"""Means and variances over images, with their 95 % intervals."""

import math
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import stats
from torch import Tensor

LEAST = 3
"""Fewest images for an interval."""


class Interval(NamedTuple):
    """A statistic over images with its 95 % interval, in the unit of the values."""

    value: float
    low: float
    """NaN if there are too few images."""
    high: float
    n_images: int


def over_images(
    values: Float[Tensor, " n"] | Int[Tensor, " n"],
    statistic: Literal["mean", "variance"] = "mean",
) -> Interval:
    """Return the mean or variance over images, with a jackknife interval from t(n - 1).

    NaN values are left out; if all are NaN, so is the result. For the mean the jackknife is the t
    interval. The variance is E[(v - E v)^2], and its interval is clipped at 0. The interval does
    not include the randomness of training: all values are from one network.
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
