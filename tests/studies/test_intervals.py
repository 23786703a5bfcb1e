"""Intervals have their coverage if pairs share networks; naive intervals do not."""

import math
import re
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from kc.studies.intervals import over_fits, over_groups, over_networks, sum_over_networks
from tests.studies.simulated import (
    RATIOS,
    SPREADS,
    covered,
    covered_depth,
    designed,
    effects,
    pairs_of,
)

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


DESIGNS = [
    *(("all", m) for m in (3, 4, 5)),
    *(("ring", m) for m in (4, 5)),  # a ring of three is all pairs
    *(("halves", n) for n in (3, 5)),
]
DOCS = Path(__file__).parents[2] / "docs" / "reading-the-numbers.md"


@pytest.mark.parametrize(("design", "m"), DESIGNS)
def test_coverage_at_the_ends_of_the_grid(design: str, m: int):
    for ratio in (0, 1, math.inf):
        for cv in (SPREADS[0], SPREADS[-1]):
            assert covered(design, m, ratio, cv, runs=4000).share > 0.92  # 0.93, three sigma


@pytest.mark.long
@pytest.mark.parametrize(("design", "m"), DESIGNS)
def test_coverage_is_93_percent_everywhere_and_that_of_the_docs(design: str, m: int):
    name = {"all": "all pairs", "ring": "ring", "halves": "half-splits"}[design]
    (line,) = re.findall(rf"^\| {name}, {m} \|(.*)\|$", DOCS.read_text(), re.MULTILINE)
    told = [float(cell) for cell in line.split("|")]
    found = []
    for ratio in RATIOS:
        some = [covered(design, m, ratio, cv, runs=40_000).share for cv in SPREADS]
        assert min(some) > 0.9285
        found.append(100 * min(some))
        if ratio == 0 and design != "halves":
            assert min(some) > 0.965  # safe where pairs alone differ
    assert told[: len(RATIOS)] == pytest.approx(found, abs=0.5)
    widths = [covered(design, m, ratio, 0.3, runs=40_000).half for ratio in (0, math.inf)]
    assert told[len(RATIOS) :] == pytest.approx(widths, abs=0.02)


@pytest.mark.parametrize("m", [3, 4, 5])
@pytest.mark.parametrize("correction", [0.2, 1.0])
def test_coverage_of_a_difference_corrected_on_a_ring(m: int, correction: float):
    for ratio in (0, 1, math.inf):
        assert covered_depth(m, ratio, 0.3, 4000, correction).share > 0.935


def test_plain_intervals_of_skewed_shares_cover_less():
    assert covered("all", 5, math.inf, 0.6, 4000, scale="plain").share < 0.93


@pytest.mark.parametrize(("design", "m"), DESIGNS[:5])
@pytest.mark.parametrize("ratio", [0.0, math.inf])
def test_excess_and_degrees_of_freedom_are_those_of_a_simulation(design: str, m: int, ratio: float):
    pairs, rng = pairs_of(design, m), np.random.default_rng(3)
    values, found = effects(rng, 40_000, pairs, ratio), designed(pairs)
    true, jackknife = values.mean(axis=1).var(), np.square(found.error(values))
    excess = jackknife.mean() / true
    if math.isinf(ratio):
        assert excess == pytest.approx(1, rel=0.04)
        assert 2 * jackknife.mean() ** 2 / jackknife.var() == pytest.approx(found.df, rel=0.1)
    else:
        assert excess > 1.5


def test_a_ring_is_divided_by_its_excess():
    """By hand, m = 4: theta_k weighs its networks 0, 1, 2, 1 of 2 pairs; true: 1, 1, 1, 1."""
    pairs = pairs_of("ring", 4)
    ends = [[str(pair[end]) for pair in pairs] for end in (0, 1)]
    effect = np.array([0.3, 0.1, -0.2, 0.4])
    values = [effect[a] + effect[b] for a, b in pairs]
    theta = [effect[(k + 2) % 4] + (effect[k - 1] + effect[(k + 1) % 4]) / 2 for k in range(4)]
    error = math.sqrt(0.75 * np.square(np.array(theta) - np.mean(theta)).sum() / 1.5)
    found = over_networks(*ends, values)
    assert found.error == pytest.approx(error)
    assert found.df == pytest.approx(2)
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, 2) * error)


def test_pairs_that_share_no_network_have_the_t_interval():
    values = [0.1, 0.2, 0.4]
    found = over_networks(["a", "c", "e"], ["b", "d", "f"], values)
    groups = over_groups(["ab", "cd", "ef"], values)
    assert (found.low, found.high) == pytest.approx((groups.low, groups.high))


def test_a_sum_over_the_same_pairs_is_the_mean_of_the_sums():
    values = drawn(np.random.default_rng(4))
    other = drawn(np.random.default_rng(5))
    found = sum_over_networks([(FIRST, SECOND, list(values)), (FIRST, SECOND, list(other))])
    assert found == pytest.approx(over_networks(FIRST, SECOND, list(values + other)))


def test_pairs_that_all_have_one_network_give_no_interval():
    assert math.isnan(over_networks(["a", "b", "a"], ["b", "a", "c"], [0.1, 0.2, 0.3]).low)


def test_equal_values_have_an_interval_of_no_width():
    found = over_networks(FIRST, SECOND, [0.25] * len(FIRST))
    assert (found.low, found.high, found.smallest) == pytest.approx((0.25, 0.25, 0))


def test_the_smallest_effect_is_seen_in_four_of_five_studies():
    """The t quantiles are those of the issue; seen: the interval excludes 0."""
    rng, n = np.random.default_rng(6), 8
    small = over_groups(list("abc"), [0.1, 0.2, 0.4])
    quantiles = stats.t.ppf(0.975, 2) + stats.t.ppf(0.8, 2)
    assert small.smallest == pytest.approx(quantiles * stats.sem([0.1, 0.2, 0.4]))
    effect = float(stats.t.ppf([0.975, 0.8], n - 1).sum()) / math.sqrt(n)
    seen = [over_groups(list("abcdefgh"), list(rng.normal(effect, 1, n))).sign for _ in range(RUNS)]
    assert 0.74 < np.mean(np.array(seen) == 1) < 0.88


def test_independent_estimates_add_with_welch_degrees_of_freedom():
    first, second = (
        over_groups(list("abc"), [0.1, 0.2, 0.4]),
        over_groups(list("abcd"), [1.0, 1.1, 1.3, 1.0]),
    )
    found = first.plus(second)
    a, b = first.error**2, second.error**2
    df = (a + b) ** 2 / (a**2 / 2 + b**2 / 3)
    assert found.mean == pytest.approx(first.mean + second.mean)
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, df) * math.sqrt(a + b))
    assert found.n == 3
    assert math.isnan(first.plus(over_groups(list("ab"), [0.1, 0.2])).high)
