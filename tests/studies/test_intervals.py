"""Intervals have their coverage if pairs share networks; naive intervals do not."""

import math
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from kc.studies.intervals import over_fits, over_groups, over_networks

M, RUNS, TRUTH = 6, 400, 0.3
PAIRS = list(permutations(range(M), 2))
FIRST, SECOND = ([str(pair[end]) for pair in PAIRS] for end in (0, 1))


def drawn(rng: np.random.Generator) -> np.ndarray:
    """Return shares of all ordered pairs: an effect of each network and a small one of the pair."""
    effect = rng.normal(0, 0.05, M)
    pair = rng.normal(0, 0.02, (M, M))
    return np.array([TRUTH + effect[a] + effect[b] + pair[a, b] for a, b in PAIRS])


def naive_bootstrap(values: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    means = rng.choice(values, (300, len(values))).mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def test_jackknife_covers_and_the_bootstrap_over_pairs_does_not():
    rng = np.random.default_rng(0)
    jackknife, naive = 0, 0
    for _ in range(RUNS):
        values = drawn(rng)
        found = over_networks(FIRST, SECOND, list(values))
        jackknife += found.low <= TRUTH <= found.high
        low, high = naive_bootstrap(values, rng)
        naive += low <= TRUTH <= high
    assert 0.91 <= jackknife / RUNS <= 0.985
    assert naive / RUNS < 0.7


def test_jackknife_is_the_t_interval_where_pairs_only_add_network_effects():
    effect = np.array([0.1, 0.4, 0.25])
    pairs = list(permutations(range(3), 2))
    values = [float(effect[a] + effect[b]) for a, b in pairs]
    found = over_networks([str(a) for a, _ in pairs], [str(b) for _, b in pairs], values)
    half = stats.t.ppf(0.975, 2) * 2 * effect.std(ddof=1) / math.sqrt(3)
    assert found.mean == pytest.approx(2 * effect.mean())
    assert found.high - found.mean == pytest.approx(half)
    assert found.mean - found.low == pytest.approx(half)
    assert (found.n, found.n_pairs) == (3, 6)


def test_order_of_the_pairs_does_not_matter():
    values = drawn(np.random.default_rng(1))
    found = over_networks(FIRST, SECOND, list(values))
    turned = over_networks(FIRST[::-1], SECOND[::-1], list(values[::-1]))
    assert turned == pytest.approx(found)


def test_half_splits_count_once_though_both_directions_are_fitted():
    values = [0.1, 0.3, 0.2, 0.4, 0.5, 0.7]
    found = over_groups(["a", "a", "b", "b", "c", "c"], values)
    low, high = stats.t.interval(0.95, 2, loc=0.3667, scale=stats.sem([0.2, 0.3, 0.6]))
    assert found.n == 3
    assert found.n_pairs == 6
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_intervals_over_half_splits_have_their_nominal_coverage():
    rng = np.random.default_rng(2)
    splits = [name for name in "abcd" for _ in range(2)]
    covered, naive = 0, 0
    for _ in range(RUNS):
        values = np.repeat(rng.normal(TRUTH, 0.05, 4), 2) + rng.normal(0, 0.01, 8)
        found = over_groups(splits, list(values))
        covered += found.low <= TRUTH <= found.high
        low, high = naive_bootstrap(values, rng)
        naive += low <= TRUTH <= high
    assert 0.92 <= covered / RUNS <= 0.98
    assert naive / RUNS < 0.8


@pytest.mark.parametrize("case", ["initialization", "training_data"])
def test_two_networks_or_one_split_give_no_interval(case: str):
    found = over_fits(case, ["a", "b"], ["b", "a"], [0.2, 0.4])
    assert found.mean == pytest.approx(0.3)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.n == (2 if case == "initialization" else 1)
    assert found.sign == 0


def test_the_case_decides_whether_networks_or_splits_are_counted():
    first, second, values = (
        ["a", "b", "c", "d", "e", "f"],
        ["b", "a", "d", "c", "f", "e"],
        [0.2] * 6,
    )
    assert over_fits("training_data", first, second, values).n == 3
    assert over_fits("initialization", first, second, values).n == 6


def test_sign_needs_the_whole_interval_on_one_side():
    names = ["a", "b", "c"]
    assert over_groups(names, [0.30, 0.31, 0.32]).sign == 1
    assert over_groups(names, [-0.30, -0.31, -0.32]).sign == -1
    assert over_groups(names, [-0.1, 0.1, 0.3]).sign == 0


def test_the_interval_of_a_share_is_symmetric_on_a_log_scale_and_stays_above_0():
    names, values = ["a", "b", "c"], [0.01, 0.02, 0.30]
    plain = over_groups(names, values)
    found = over_groups(names, values, scale="log")
    half = plain.high - plain.mean
    assert plain.low < 0 < found.low
    assert found.mean == plain.mean
    assert found.low * found.high == pytest.approx(found.mean**2)
    assert math.log(found.high / found.mean) == pytest.approx(half / found.mean)
