"""Compute intervals for averages over pairs that depend on each other.

Pairs share networks: an unusual network affects all its pairs, so a bootstrap over pairs covers
about half of what it claims. Independent are networks, half-splits, or chains of networks.

A share cannot be negative, and its spread grows with it: its interval is symmetric on a log scale
(``scale="log"``, by the delta method) and so stays above 0. ``cross``, gains and differences may
have any sign: ``plain``.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

LEAST = 3
"""Fewest independent networks or half-splits for an interval."""


type Scale = Literal["plain", "log"]


class Estimate(NamedTuple):
    """A mean over pairs with its 95 % interval."""

    mean: float
    low: float
    """Lower end of the 95 % interval; NaN if n is too small."""
    high: float
    n: int
    """Number of independent networks or half-splits."""
    n_pairs: int
    """Number of ordered pairs (fits) in the mean."""

    @property
    def sign(self) -> int:
        """Return +1 or -1 if the interval excludes 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)


def over_networks(
    first: Sequence[str],
    second: Sequence[str],
    values: Sequence[float],
    level: float = 0.95,
    scale: Scale = "plain",
) -> Estimate:
    """Average over pairs of networks; the interval is the jackknife over networks with t(m - 1).

    Parameters
    ----------
    first, second
        The two networks of each pair; all pairs among m networks are needed.
    values
        The number of each pair, in any unit.
    level
        Coverage of the interval.
    scale
        ``log`` for numbers above 0.

    Notes
    -----
    The mean over pairs is a U-statistic of degree 2. ``theta_k`` is the mean over the pairs
    without network k; the variance is ``(m - 1) / m * sum (theta_k - mean theta)^2``.
    """
    numbers, a, b = np.asarray(values, np.float64), np.asarray(first), np.asarray(second)
    networks = sorted({*first, *second})
    m = len(networks)
    without = [numbers[(a != network) & (b != network)] for network in networks]
    if m < LEAST or any(len(part) == 0 for part in without):
        return Estimate(float(numbers.mean()), math.nan, math.nan, m, len(numbers))
    theta = np.array([part.mean() for part in without])
    error = math.sqrt((m - 1) / m * float(np.square(theta - theta.mean()).sum()))
    return _around(float(numbers.mean()), error, m, len(numbers), level, scale)


def over_groups(
    groups: Sequence[str], values: Sequence[float], level: float = 0.95, scale: Scale = "plain"
) -> Estimate:
    """Average over groups that share no network; the interval is the t interval over their means.

    A group is a half-split (its two directions share both networks), a chain of networks, or a
    pair that shares no network with another.
    """
    numbers, names = np.asarray(values, np.float64), np.asarray(groups)
    means = np.array([numbers[names == group].mean() for group in sorted(set(groups))])
    n = len(means)
    if n < LEAST:
        return Estimate(float(means.mean()), math.nan, math.nan, n, len(numbers))
    error = float(means.std(ddof=1)) / math.sqrt(n)
    return _around(float(means.mean()), error, n, len(numbers), level, scale)


def over_fits(
    case: str,
    first: Sequence[str],
    second: Sequence[str],
    values: Sequence[float],
    scale: Scale = "plain",
) -> Estimate:
    """Average over the fits of a case: ``initialization`` over networks, others over half-splits.

    The fits of one half-split are those between the same two networks.
    """
    if case == "initialization":
        return over_networks(first, second, values, scale=scale)
    splits = ["--".join(sorted(pair)) for pair in zip(first, second, strict=True)]
    return over_groups(splits, values, scale=scale)


def _around(
    mean: float, error: float, n: int, n_pairs: int, level: float, scale: Scale
) -> Estimate:
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * error
    if scale == "log" and mean > 0:
        factor = math.exp(half / mean)  # the error of log(mean) is error / mean
        return Estimate(mean, mean / factor, mean * factor, n, n_pairs)
    return Estimate(mean, mean - half, mean + half, n, n_pairs)
