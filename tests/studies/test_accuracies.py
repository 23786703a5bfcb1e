"""Accuracies: shares are exact, gains are paired, intervals have their coverage."""

import numpy as np
import pandas as pd
import pytest

from kc.studies.accuracies import LEVEL, accuracies

RUNS, IMAGES = 200, 150


def right(count: int, images: int) -> np.ndarray:
    return np.arange(images) < count


def drawn(rng: np.random.Generator, images: int = IMAGES) -> dict[str, np.ndarray]:
    """Draw two classifiers that often err together: 0.7 and 0.65 right, a true gain of -0.05."""
    which = rng.choice(4, images, p=[0.55, 0.15, 0.1, 0.2])  # both, A, B, none
    return {"A": np.isin(which, [0, 1]), "B": np.isin(which, [0, 2])}


def width(frame: pd.DataFrame, column: str, row: int = 1) -> float:
    return float(frame[f"{column}_high"][row] - frame[f"{column}_low"][row])


def test_shares_are_exact_and_columns_are_the_contract():
    frame = accuracies({"A": right(30, 80), "x0": right(56, 80)}, ("A",))
    assert list(frame.columns) == [
        "features", "top1", "ci_low", "ci_high", "n",
        "gain_over_A", "gain_over_A_low", "gain_over_A_high",
    ]  # fmt: skip
    assert frame["features"].tolist() == ["A", "x0"]
    assert frame["top1"].tolist() == [37.5, 70.0]
    assert frame["n"].tolist() == [80, 80]
    assert frame["gain_over_A"].tolist() == [0.0, 32.5]
    assert (frame["ci_low"] < frame["top1"]).all()
    assert (frame["top1"] < frame["ci_high"]).all()


def test_without_a_reference_there_are_no_gains():
    frame = accuracies({"A": right(3, 8)})
    assert not [name for name in frame.columns if name.startswith("gain")]


@pytest.mark.parametrize(("count", "share"), [(0, 0.0), (40, 100.0)])
def test_a_classifier_that_is_always_wrong_or_right_has_an_interval_of_width_0(
    count: int, share: float
):
    frame = accuracies({"A": right(count, 40)})
    assert frame[["top1", "ci_low", "ci_high"]].to_numpy().tolist() == [[share] * 3]


def test_equal_errors_give_no_gain_and_no_width_and_other_errors_give_both():
    rng = np.random.default_rng(0)
    a = rng.random(400) < 0.7
    alone = rng.permutation(a)
    frame = accuracies({"A": a, "same": a.copy(), "others": alone}, ("A",))
    assert frame["gain_over_A"].tolist() == [0, 0, 0]  # as many errors, on other images
    assert width(frame, "gain_over_A", 1) == 0
    # of independent errors: 2 x 1.96 x sqrt(2 x 0.7 x 0.3 / 400), in percent
    assert width(frame, "gain_over_A", 2) == pytest.approx(12.7, abs=1.0)


def test_a_paired_interval_is_narrower_than_those_of_two_accuracies():
    """They differ on one image in twenty: the gain is certain though intervals overlap."""
    a = right(280, 400)
    better = right(300, 400)
    frame = accuracies({"A": a, "better": better}, ("A",))
    assert frame["ci_high"][0] > frame["ci_low"][1]
    assert frame["gain_over_A_low"][1] > 0
    # the counter-example: as many correct, but on other images
    apart = np.roll(better, 150)
    assert accuracies({"A": a, "better": apart}, ("A",))["gain_over_A_low"][1] < 0


def test_gains_over_two_references_have_separate_columns():
    some = {"A": right(10, 40), "B": right(20, 40), "x0": right(30, 40)}
    frame = accuracies(some, ("A", "B"))
    assert frame["gain_over_A"].tolist() == [0, 25, 50]
    assert frame["gain_over_B"].tolist() == [-25, 0, 25]
    assert width(frame, "gain_over_B", 1) == 0
    assert width(frame, "gain_over_A", 1) > 0


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_interval():
    some = drawn(np.random.default_rng(3))
    first, again, other = (accuracies(some, ("A",), seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    ends = ["ci_low", "ci_high", "gain_over_A_low", "gain_over_A_high"]
    assert (first[ends] != other[ends]).any(axis=None)
    assert first["top1"].equals(other["top1"])


def test_the_order_of_the_images_and_a_third_classifier_change_no_share():
    some = drawn(np.random.default_rng(4))
    turned = {name: found[::-1] for name, found in some.items()}
    assert accuracies(some)["top1"].equals(accuracies(turned)["top1"])
    more = accuracies(some | {"third": right(3, IMAGES)}, ("A",))
    pd.testing.assert_frame_equal(more.iloc[:2], accuracies(some, ("A",)), check_exact=True)


@pytest.mark.long
def test_intervals_have_their_nominal_coverage():
    rng = np.random.default_rng(5)
    accuracy, gain, unpaired = 0, 0, 0
    for run in range(RUNS):
        frame = accuracies(drawn(rng), ("A",), run)
        accuracy += frame["ci_low"][0] <= 70 <= frame["ci_high"][0]
        gain += frame["gain_over_A_low"][1] <= -5 <= frame["gain_over_A_high"][1]
        apart = accuracies({"A": drawn(rng)["A"], "B": drawn(rng)["B"]}, ("A",), run)
        unpaired += width(apart, "gain_over_A") > width(frame, "gain_over_A")
    assert LEVEL == 0.95
    assert 0.90 <= accuracy / RUNS <= 0.99
    assert 0.90 <= gain / RUNS <= 0.99
    # only pairing makes the gain's interval this narrow
    assert unpaired / RUNS > 0.95
