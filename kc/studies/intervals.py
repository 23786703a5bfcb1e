"""Compute intervals for averages over pairs that depend on each other.

Pairs share networks: an unusual network affects all its pairs, so a bootstrap over pairs covers
about half of what it claims. Independent are networks, half-splits, or chains of networks.

A share cannot be negative, and its spread grows with it: its interval is symmetric on a log scale
(``scale="log"``, by the delta method) and so stays above 0. ``cross``, gains and differences may
have any sign: ``plain``.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import stats

from kc.studies.pair_design import PairDesign, degrees, spread

LEAST = 3
"""Fewest independent networks or half-splits for an interval."""
LEVEL = 0.95
"""Coverage of intervals."""
POWER = 0.8
"""Chance with which the smallest effect would have been seen."""


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
    error: float = math.nan
    """Standard error of the mean, in its unit."""
    df: float = math.nan
    """Degrees of freedom of the error."""

    @property
    def sign(self) -> int:
        """Return +1 or -1 if the interval excludes 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)

    @property
    def smallest(self) -> float:
        """Return the smallest effect that would have been seen; NaN without an interval.

        An effect of (t.975 + t.8) standard errors has an interval without 0 in about 80 % of
        studies of this size.
        """
        quantiles = [float(stats.t.ppf(share, self.df)) for share in ((1 + LEVEL) / 2, POWER)]
        return sum(quantiles) * self.error

    def plus(self, other: "Estimate") -> "Estimate":
        """Add an independent estimate; n is that of this one, df by Welch and Satterthwaite."""
        error = math.hypot(self.error, other.error)
        df = _welch([self.error, other.error], [self.df, other.df])
        return _around(self.mean + other.mean, error, df, self.n, self.n_pairs)


def over_networks(
    first: Sequence[str],
    second: Sequence[str],
    values: Sequence[float],
    scale: Scale = "plain",
) -> Estimate:
    """Average over pairs of networks; the interval is the jackknife over networks.

    Parameters
    ----------
    first, second
        The two networks of each pair: all pairs among m networks, or those of a ring.
    values
        The number of each pair, in any unit.
    scale
        ``log`` for numbers above 0.

    Notes
    -----
    ``theta_k`` is the mean over the pairs without network k, and the variance is
    ``(m - 1) / m * sum (theta_k - mean theta)^2``, divided by its excess where networks alone
    differ (:class:`kc.studies.pair_design.PairDesign`: 1 for all pairs, with t(m - 1)).
    """
    return sum_over_networks([(first, second, values)], scale)


def sum_over_networks(
    parts: Sequence[tuple[Sequence[str], Sequence[str], Sequence[float]]],
    scale: Scale = "plain",
) -> Estimate:
    """Sum averages over different pairs of the same networks; see :func:`over_networks`.

    ``theta_k`` is the sum of the means without network k. n and n_pairs are those of the first
    part.
    """
    designs = [PairDesign.of(first, second) for first, second, _ in parts]
    values = [np.asarray(part[2], np.float64) for part in parts]
    mean = sum(float(some.mean()) for some in values)
    m, n_pairs = len(designs[0].networks), len(values[0])
    if m < LEAST or not all(design.is_complete for design in designs):
        return Estimate(mean, math.nan, math.nan, m, n_pairs)
    theta = np.sum([d.without @ some for d, some in zip(designs, values, strict=True)], axis=0)
    excess = min(design.excess for design in designs)
    errors = [float(d.error(some)) for d, some in zip(designs, values, strict=True)]
    if not any(errors):
        errors = [1.0 for _ in errors]
    # those of one quadratic form of the sums, so not Welch's
    shapes = [error**2 * d.shape for error, d in zip(errors, designs, strict=True)]
    df = degrees(np.sum(shapes, axis=0))
    return _around(mean, float(spread(theta)) / math.sqrt(excess), df, m, n_pairs, scale)


def over_groups(groups: Sequence[str], values: Sequence[float], scale: Scale = "plain") -> Estimate:
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
    return _around(float(means.mean()), error, float(n - 1), n, len(numbers), scale)


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
        return over_networks(first, second, values, scale)
    splits = ["--".join(sorted(pair)) for pair in zip(first, second, strict=True)]
    return over_groups(splits, values, scale)


def estimate_of(mean: float, ends: tuple[float, float], n: int) -> Estimate:
    """Return the estimate whose 95 % interval, of t(n - 1), has these ends."""
    if n < LEAST:
        return Estimate(mean, math.nan, math.nan, n, n)
    error = (ends[1] - ends[0]) / 2 / float(stats.t.ppf((1 + LEVEL) / 2, n - 1))
    return Estimate(mean, *ends, n, n, error, float(n - 1))


def bounds(mean: Any, error: Any, df: float, scale: Scale) -> tuple[Any, Any]:
    """Return the ends of the interval of each mean; numbers or arrays of one shape."""
    half = float(stats.t.ppf((1 + LEVEL) / 2, df)) * error
    if scale == "log" and np.all(np.asarray(mean) > 0):
        factor = np.exp(np.minimum(half / mean, 700))  # the error of log(mean) is error / mean
        return mean / factor, mean * factor
    return mean - half, mean + half


def _around(
    mean: float, error: float, df: float, n: int, n_pairs: int, scale: Scale = "plain"
) -> Estimate:
    low, high = bounds(mean, error, df, scale)
    return Estimate(mean, float(low), float(high), n, n_pairs, error, df)


def _welch(errors: Sequence[float], dfs: Sequence[float]) -> float:
    """Return the degrees of freedom of a sum by Welch and Satterthwaite."""
    squares = np.square(errors)
    if not squares.any():
        return min(dfs)
    return float(squares.sum() ** 2 / (np.square(squares) / dfs).sum())
