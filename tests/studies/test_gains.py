"""Averages of gains over pairs and chains, with intervals computed by hand."""

import math
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from kc.plans.products import FitPlan, NetworkPlan
from kc.studies import printed
from kc.studies.accuracies import accuracies
from kc.studies.averages import averaged, over_chains, over_pairs
from kc.studies.gains import gain_figure, mean_accuracies, pair_accuracies, with_paper

BY = ("network", "layer", "features")
EFFECT = {"n0": 1.0, "n1": 4.0, "n2": 2.5}
"""What each network adds to the gain of its pairs."""


def right(count: int) -> np.ndarray:
    return np.arange(80) < count


def one_pair() -> pd.DataFrame:
    a, b = (NetworkPlan("birds", "vgg16_bn", seed) for seed in (0, 1))
    found = {"A": right(40), "B": right(36), "x0": right(44)}
    as_trained = {"A_as_trained": 45.0, "B_as_trained": 40.0}
    return pair_accuracies(FitPlan(a, b, "conv4_3", "conv4_3"), found, as_trained)


def pairs() -> pd.DataFrame:
    """Return all pairs of three networks; the gain of x0 is the sum of its networks' effects."""
    rows = []
    for first, second in permutations(EFFECT, 2):
        for features, gain in (("B", 0.0), ("x0", EFFECT[first] + EFFECT[second])):
            rows.append(
                {"source_network": first, "target_network": second, "network": "vgg16_bn"}
                | {"layer": "conv4_3", "features": features, "top1": 50 + gain}
                | {"gain_over_B": gain, "gain_over_B_half_width": 2.0 + gain}
                | {"half_width": 3.0 if first == "n0" else 6.0, "test_images": 80}
            )
    return pd.DataFrame(rows)


def test_a_pair_has_its_accuracies_gains_and_half_widths():
    frame = one_pair().set_index("features")
    assert list(frame.index) == ["A_as_trained", "B_as_trained", "A", "B", "x0"]
    assert frame["top1"].tolist() == pytest.approx([45, 40, 50, 45, 55])
    assert frame["gain_over_A"].tolist() == pytest.approx([-5, -10, 0, -5, 5])
    assert frame["gain_over_B"].tolist() == pytest.approx([0, -5, 5, 0, 10])
    assert set(frame["test_images"]) == {80}
    assert set(frame["source_network"]) == {"birds-vgg16_bn-seed0"}
    assert set(frame["target_network"]) == {"birds-vgg16_bn-seed1"}
    expected = accuracies({"A": right(40), "B": right(36), "x0": right(44)}, ("A", "B"))
    half = (expected["ci_high"] - expected["ci_low"]) / 2
    assert frame["half_width"].tolist()[2:] == half.tolist()
    gain = (expected["gain_over_A_high"] - expected["gain_over_A_low"]) / 2
    assert frame["gain_over_A_half_width"].tolist()[2:] == gain.tolist()
    # cards hold no answers by image
    assert frame["half_width"].isna().tolist() == [True, True, False, False, False]


def test_gains_over_three_networks_have_the_interval_computed_by_hand():
    """The sum of two effects a pair: the mean is twice theirs, and so is the t interval's width."""
    table = mean_accuracies(pairs(), BY, ("B",), over_pairs)
    effect = np.array(list(EFFECT.values()))
    half = stats.t.ppf(0.975, 2) * 2 * effect.std(ddof=1) / math.sqrt(3)
    row = table[table["features"] == "x0"].iloc[0]
    assert row["gain_over_B"] == pytest.approx(5.0)
    assert row["gain_over_B_high"] - 5 == pytest.approx(half)
    assert 5 - row["gain_over_B_low"] == pytest.approx(half)
    assert row["top1"] == pytest.approx(55.0)
    assert row["ci_high"] - 55 == pytest.approx(half)
    assert (row["n"], row["n_pairs"], row["test_images"]) == (3, 6, 80)
    assert row["half_width"] == pytest.approx((2 * 3 + 4 * 6) / 6)
    assert row["gain_over_B_half_width"] == pytest.approx(7.0)
    own = table[table["features"] == "B"].iloc[0]
    assert (own["gain_over_B"], own["gain_over_B_low"], own["gain_over_B_high"]) == (0, 0, 0)


def test_two_networks_have_means_without_interval():
    two = pairs()[lambda frame: ~frame[["source_network", "target_network"]].eq("n2").any(axis=1)]
    table = mean_accuracies(two, BY, ("B",), over_pairs)
    assert table["gain_over_B"].tolist() == [0, 5]
    assert table[["ci_low", "ci_high", "gain_over_B_low"]].isna().all(axis=None)
    assert table["n"].tolist() == [2, 2]


def test_three_chains_have_the_interval_computed_by_hand():
    values = [0.1, 0.2, 0.3]
    frame = pd.DataFrame({"chain": [0, 1, 2], "layer": "conv5", "share": values, "gain": values})
    found = averaged(frame, ["layer"], {"share": "log", "gain": "plain"}, [], over_chains).iloc[0]
    half = stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3)  # 0.248
    assert (found["gain_low"], found["gain_high"]) == pytest.approx((0.2 - half, 0.2 + half))
    assert found["gain_low"] < 0
    factor = math.exp(half / 0.2)
    assert (found["share_low"], found["share_high"]) == pytest.approx((0.2 / factor, 0.2 * factor))
    assert (found["n"], found["n_pairs"]) == (3, 3)


def test_rows_keep_their_order_and_means_leave_out_what_is_missing():
    frame = pd.DataFrame(
        {"chain": [0, 1] * 2, "at": ["late", "late", "early", "early"]}
        | {"value": [1.0, 3.0, 5.0, 7.0], "more": [math.nan, 4.0, math.nan, math.nan]}
    )
    found = averaged(frame, ["at"], {"value": "plain"}, ["more"], over_chains)
    assert found["at"].tolist() == ["late", "early"]
    assert found["value"].tolist() == [2, 6]
    assert found["more"].tolist() == pytest.approx([4, math.nan], nan_ok=True)


def test_printed_gains_are_differences_of_printed_accuracies():
    table = with_paper(one_pair(), ("features", "network", "layer"), printed.table3, "B")
    assert table["paper"].tolist() == [43.15, 42.89, 43.15, 42.89, 45.15]
    assert table["paper_gain"].tolist() == pytest.approx([0.26, 0, 0.26, 0, 2.26])


def test_the_figure_shows_each_pair_as_a_dot_beside_mean_and_printed_gain():
    table = with_paper(
        mean_accuracies(pairs(), BY, ("B",), over_pairs),
        ("features", "network", "layer"),
        printed.table3,
        "B",
    )
    shown = table[table["features"] == "x0"]
    (axes,) = gain_figure(shown, pairs(), BY[:-1], "gain_over_B").axes
    drawn = [line.get_xdata() for line in axes.lines]
    assert any(list(some) == [5, 3.5, 5, 6.5, 3.5, 6.5] for some in drawn)
    assert any(list(some) == pytest.approx([2.26]) for some in drawn)
    assert axes.get_xlabel() == "gain over B (points of top-1)"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["vgg16_bn  conv4_3"]
