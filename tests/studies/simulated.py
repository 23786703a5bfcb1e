"""Draw many studies with known truth, and count how often their intervals hold it."""

import math
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from kc.studies.intervals import Scale, bounds
from kc.studies.pair_design import PairDesign, spread

RATIOS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, math.inf)
"""Variance of a share from its two networks, over that from the pair."""
SPREADS = (0.1, 0.3, 0.6)
"""Coefficient of variation of a share."""
TRUTH = 0.25


class Coverage(NamedTuple):
    """How often the intervals hold the truth, and the median of half their width."""

    share: float
    half: float
    """In units of the mean; on a log scale, of its logarithm."""


def pairs_of(design: str, m: int) -> list[tuple[int, int]]:
    """List the ordered pairs of ``all`` or of a ``ring``, or both directions of m ``halves``."""
    if design == "all":
        return list(permutations(range(m), 2))
    if design == "ring":
        near = [(k, (k + 1) % m) for k in range(m)]
    else:
        near = [(2 * k, 2 * k + 1) for k in range(m)]
    return [*near, *((b, a) for a, b in near)]


def designed(pairs: list[tuple[int, int]]) -> PairDesign:
    return PairDesign.of(*([str(pair[end]) for pair in pairs] for end in (0, 1)))


def effects(
    rng: np.random.Generator, runs: int, pairs: list[tuple[int, int]], ratio: float
) -> np.ndarray:
    """Draw the sum of the effects of source, target, pair and fit: (runs, pairs), variance 1.

    A network's effects as source and as target correlate by 0.5; 0.7 of a pair's variance is the
    same in both directions.
    """
    m = max(map(max, pairs)) + 1
    a, b = (np.array([pair[end] for pair in pairs]) for end in (0, 1))
    source, other = rng.normal(size=(2, runs, m))
    target = 0.5 * source + math.sqrt(0.75) * other
    # without correlation of the two networks of a pair the variances add up to 1
    networks = (source[:, a] + target[:, b]) / math.sqrt(2)
    both = rng.normal(size=(runs, m, m))
    symmetric = np.where(a < b, both[:, a, b], both[:, b, a])
    pair = math.sqrt(0.7) * symmetric + math.sqrt(0.3) * rng.normal(size=(runs, len(pairs)))
    if math.isinf(ratio):
        return networks
    return (math.sqrt(ratio) * networks + pair) / math.sqrt(1 + ratio)


def shares(
    rng: np.random.Generator, runs: int, pairs: list[tuple[int, int]], ratio: float, spread: float
) -> np.ndarray:
    """Draw log-normal shares with mean ``TRUTH`` and a coefficient of variation."""
    variance = math.log1p(spread**2)
    logs = math.sqrt(variance) * effects(rng, runs, pairs, ratio)
    return TRUTH * np.exp(logs - variance / 2)


def covered(
    design: str, m: int, ratio: float, cv: float, runs: int, seed: int = 0, scale: Scale = "log"
) -> Coverage:
    """Simulate intervals of shares: over m networks, or over m half-splits."""
    rng = np.random.default_rng([seed, m, int(100 * cv), len(design)])
    pairs = pairs_of(design, m)
    values = shares(rng, runs, pairs, ratio, cv)
    mean = values.mean(axis=1)
    if design == "halves":
        means = values.reshape(runs, 2, m).mean(axis=1)
        error, df = means.std(axis=1, ddof=1) / math.sqrt(m), m - 1.0
    else:
        found = designed(pairs)
        error, df = found.error(values), found.df
    return _counted(mean, error, df, TRUTH, scale)


def covered_depth(m: int, ratio: float, cv: float, runs: int, correction: float) -> Coverage:
    """Simulate differences over all pairs with a correction from the pairs of a ring.

    ``correction``: spread of the correction over that of the difference.
    """
    rng = np.random.default_rng([m, int(100 * cv), int(10 * correction)])
    pairs, near = pairs_of("all", m), set(pairs_of("ring", m))
    ring = [number for number, pair in enumerate(pairs) if pair in near]
    whole, part = designed(pairs), designed([pairs[number] for number in ring])
    values = cv * effects(rng, runs, pairs, ratio)
    fixes = correction * cv * effects(rng, runs, pairs, ratio)[:, ring]
    error = spread(values @ whole.without.T + fixes @ part.without.T)
    squares = [np.square(d.error(v)) for d, v in ((whole, values), (part, fixes))]
    df = _degrees(squares, [whole.shape, part.shape])
    mean = values.mean(axis=1) + fixes.mean(axis=1)
    half = stats.t.ppf(0.975, df) * error
    return Coverage(float((np.abs(mean) <= half).mean()), float(np.median(half)))


def _degrees(squares: list[np.ndarray], shapes: list[np.ndarray]) -> np.ndarray:
    """Return the degrees of freedom of each run, as ``sum_over_networks`` does for one."""
    cross = np.array([[np.trace(a @ b) for b in shapes] for a in shapes])
    total = np.stack(squares)
    return total.sum(axis=0) ** 2 / np.einsum("ir,ij,jr->r", total, cross, total)


def _counted(mean: Any, error: Any, df: float, truth: float, scale: Scale) -> Coverage:
    low, high = bounds(mean, error, df, scale)
    half = np.log(high / mean) if scale == "log" else high - mean
    return Coverage(float(((low <= truth) & (truth <= high)).mean()), float(np.median(half)))
