"""Differences that are made to a known size are measured with that size."""

import numpy as np
import pytest
import torch

from kc.consistency.fit import fit
from kc.errors import FeatureError
from kc.settings.reconstruction import Optimiser
from kc.similarity.measures import Measuring
from kc.similarity.titration import centred, differences_of, with_added, with_deleted

CPU = torch.device("cpu")
SUBSETS = {"train": np.arange(400), "test": np.arange(400, 600)}
SHORT = Optimiser(epochs=8, batch_size=64)


def feature(channels=6, seed=0):
    """Return maps whose channels and positions have means and sizes of their own."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((600, channels, 3, 3))
    return x * rng.uniform(0.5, 2, (channels, 1, 1)) + rng.normal(0, 3, (channels, 3, 3))


def share_of_g(pair):
    train, test = SUBSETS["train"], SUBSETS["test"]
    found = fit(pair.source, pair.target, order=1, train=train, optimiser=SHORT)
    return found.instability(pair.source, pair.target, rows=test)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4])
def test_g_and_the_linear_map_find_the_share_that_was_added(share: float):
    pair = with_added(centred(feature(), SUBSETS["train"]), share, SUBSETS, seed=1)
    assert pair.truth == share
    assert share_of_g(pair) == pytest.approx(share, abs=0.03)
    found = differences_of(pair.source, pair.target, SUBSETS, CPU, Measuring(kernel_size=1))
    assert found["linear"] == pytest.approx(share, abs=0.03)
    assert (found["cka"] > 0.01) == (share > 0)


def test_what_is_added_is_of_other_images_of_the_same_subset_and_keeps_the_variance():
    x = centred(feature(), SUBSETS["train"])
    assert np.abs(x[:400].mean(0)).max() < 1e-5
    target = with_added(x, 0.5, SUBSETS, seed=1).target
    other = (target - np.sqrt(0.5) * x) / np.sqrt(0.5)
    for rows in SUBSETS.values():
        assert target[rows].var() == pytest.approx(x[rows].var(), rel=0.03)
        distance = np.square(other[rows][:, None] - x[rows][None]).mean((2, 3, 4))
        nearest = distance.argmin(1)
        assert distance.min(1).max() < 1e-9  # each is the feature of an image of the subset
        assert not (nearest == np.arange(len(rows))).any()
        assert len(set(nearest)) == len(rows)


def test_rows_of_no_subset_are_not_changed():
    x = centred(feature(), SUBSETS["train"])
    target = with_added(x, 0.5, {"test": SUBSETS["test"]}, seed=1).target
    assert np.array_equal(target[:400], x[:400])


def test_a_deleted_copy_is_given_by_the_rest_and_an_independent_channel_is_not():
    x = centred(feature(), SUBSETS["train"])
    alone = with_deleted(x, 1, SUBSETS["test"], seed=3)
    assert share_of_g(alone) == pytest.approx(alone.upper, abs=0.03)
    assert 0 < alone.upper < 1
    assert np.isnan(alone.truth)
    double = np.concatenate([x, x], axis=1)  # each channel has a copy
    twin = with_deleted(double, 1, SUBSETS["test"], seed=3)
    assert twin.source.shape == (600, 11, 3, 3)
    assert twin.upper > 0.01
    assert share_of_g(twin) < 0.003
    assert differences_of(twin.source, twin.target, SUBSETS, CPU, Measuring())["linear"] < 0.003


def test_the_upper_bound_is_the_share_of_the_deleted_channels():
    x = np.zeros((600, 3, 1, 1), np.float32)
    x[::2] = np.array([1, 2, 4], np.float32)[:, None, None]
    x[1::2] = -x[::2]
    pair = with_deleted(x, 2, SUBSETS["test"], seed=0)
    kept = float(np.abs(pair.source).max()) ** 2
    assert pair.upper == pytest.approx(1 - kept / 21)


def test_vectors_lose_units():
    x = np.random.default_rng(0).standard_normal((600, 5)).astype(np.float32)
    assert with_deleted(x, 2, SUBSETS["test"], seed=0).source.shape == (600, 3)


def test_deleting_all_channels_is_one_clear_error():
    with pytest.raises(FeatureError, match=r"^titration: 6 of 6 channels .*Fix: smaller numbers"):
        with_deleted(centred(feature(), SUBSETS["train"]), 6, SUBSETS["test"], seed=0)
