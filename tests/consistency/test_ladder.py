"""Linear maps of each field, and orders of g without their linear part."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kc.consistency.data import pair_up
from kc.consistency.equations import STRENGTHS
from kc.consistency.fit import fit
from kc.consistency.ladder import (
    IMAGES,
    field_of,
    fields_of,
    flattened_rung,
    linear_rung,
)
from kc.consistency.moved import moved_shares
from kc.settings.reconstruction import Consistency, Optimiser

CPU = torch.device("cpu")
FAST = Optimiser(epochs=1)


def subsets(count):
    return {"train": np.arange(count // 2), "test": np.arange(count // 2, count)}


def fitted(x, y, of, **settings):
    settings = Consistency(optimiser=FAST, centring="channel", **settings)
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return fit(x, y, train=of["train"], **given), settings


def maps(kernel, count=80, seed=0):
    """A target that is a convolution of the source, each channel with another constant."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 2, 8, 8, generator=rng)
    weight = torch.randn(3, 2, kernel, kernel, generator=rng) / kernel
    y = F.conv2d(x, weight, padding=kernel // 2)
    return x, y + 5 * torch.arange(3.0)[:, None, None]


def test_fields_grow_with_the_order_only_on_maps():
    assert fields_of(2, 3, (8, 6, 6)) == [3, 5, 7]
    assert field_of(2, 5, (8, 6, 6)) == 13
    assert fields_of(3, 1, (8, 6, 6)) == fields_of(2, 3, (8,)) == fields_of(2, 3, (4, 8)) == [1]


def test_a_wider_field_does_not_count_as_non_linear():
    """A 5 x 5 convolution: 3 x 3 misses part of it, 5 x 5 nothing, and so does 7 x 7."""
    x, y = maps(5)
    of = subsets(len(x))
    result, settings = fitted(x, y, of, order=0)
    pair = pair_up(x, y, CPU)
    missed = {side: linear_rung(result, pair, of, side, settings) for side in (3, 5, 7)}
    # W(0) of g sees 3 x 3, and W is white enough here for both maps to be equal
    assert missed[3]["test"] == pytest.approx(result.instability(x, y, of["test"]), abs=0.005)
    assert missed[3]["test"] > 0.3
    assert max(missed[5]["test"], missed[7]["test"]) < 0.01


def plain_dual(x, y, fitted, held, rows, strengths):
    """Ridge written from the formula, in the primal: the strength that validates best."""
    shape = y.shape
    x, y = x.reshape(len(x), -1).astype(float), y.reshape(len(y), -1).astype(float)
    mean, of_y = x[fitted].mean(0), y[fitted].mean(0)
    design = x[fitted] - mean
    scale = (design**2).sum() / len(fitted)
    best = None
    for strength in strengths:
        damped = design.T @ design + (strength * scale + 1e-9) * np.eye(x.shape[1])
        solution = np.linalg.solve(damped, design.T @ (y[fitted] - of_y))
        missed = y - of_y - (x - mean) @ solution
        error = (missed[held] ** 2).sum()
        if best is None or error < best[0]:
            best = error, missed
    # about the mean of each channel, over images and positions
    others = (0, 2, 3) if len(shape) == 4 else (0, 1)
    missed, whole = (part.reshape(shape)[rows] for part in (best[1], y))
    return missed.var(others).mean() / whole.var(others).mean()


@pytest.mark.parametrize("shape", [(3, 4, 4), (5, 6)])
def test_the_regression_of_flattened_maps_equals_the_formula(shape):
    rng = np.random.default_rng(0)
    count, units = 160, int(np.prod(shape))
    x = rng.normal(size=(count, *shape)).astype("f4") + 2
    turned = x.reshape(count, -1) @ rng.normal(size=(units, units)) / units**0.5
    y = (turned + rng.normal(size=turned.shape)).reshape(x.shape).astype("f4")
    of = subsets(count)
    result, _ = fitted(x, y, of, order=0)
    found = flattened_rung(result, pair_up(x, y, CPU), of)
    own = np.setdiff1d(result.train, result.validation)
    for name, rows in of.items():
        wanted = plain_dual(x, y, own, result.validation, rows, STRENGTHS)
        assert found[name] == pytest.approx(wanted, rel=1e-4)
    assert found["train"] < found["test"] < 1


def test_flattened_vectors_and_too_many_images_are_left_out():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6)).astype("f4")
    result, _ = fitted(x, x, subsets(40), order=0)
    assert flattened_rung(result, pair_up(x, x, CPU), subsets(40)) is None
    many = rng.normal(size=(2 * IMAGES + 2, 2, 2)).astype("f4")
    of = subsets(len(many))
    result, _ = fitted(many, many, of, order=0)
    assert flattened_rung(result, pair_up(many, many, CPU), of) is None


def test_what_is_linear_in_an_order_is_moved_to_order_0():
    """g(x) = x + ReLU(x): half of the ReLU is x / 2, and what is left is |x| / 2."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 3)).astype("f4")
    of = subsets(len(x))
    result, settings = fitted(x, x, of, order=1, gain="free")
    net = result.net
    with torch.no_grad():
        net.weights[0].copy_(torch.eye(3))
        net.weights[1].copy_(torch.eye(3))
        net.variance.fill_(1.0)
        net.logits.fill_(1.0)
    found = moved_shares(result, pair_up(x, x, CPU), of, settings)
    # units' deviation is 1 and so is Var(x*): (3 / 2 x), and |x| / 2 about its mean
    assert found["x0_linear"]["test"] == pytest.approx(2.25, abs=0.05)
    assert found["x1_beyond"]["test"] == pytest.approx(0.25 * (1 - 2 / np.pi), abs=0.01)
    plain = result.variances(x, x, of["test"])
    assert plain["x0"] / plain["target"] == pytest.approx(1, abs=0.05)
    assert plain["x1"] / plain["target"] == pytest.approx(0.5 - 0.5 / np.pi, abs=0.01)


def test_orders_of_maps_still_sum_to_g():
    x, y = maps(3)
    of = subsets(len(x))
    result, settings = fitted(x, torch.relu(y), of, order=2)
    found = moved_shares(result, pair_up(x, torch.relu(y), CPU), of, settings)
    assert list(found.columns) == ["x0_linear", "x1_beyond", "x2_beyond"]
    plain = result.variances(x, torch.relu(y), of["train"])
    # regression can only take variance away on the images it is fitted on
    for k in (1, 2):
        assert found[f"x{k}_beyond"]["train"] <= 1.02 * plain[f"x{k}"] / plain["target"]
    result, settings = fitted(x, y, of, order=0)
    alone = moved_shares(result, pair_up(x, y, CPU), of, settings)
    plain = result.variances(x, y, of["test"])
    assert alone["x0_linear"]["test"] == pytest.approx(plain["x0"] / plain["target"], rel=1e-5)


def test_a_warm_start_is_measured_unchanged_and_w0_is_solved_after_a_round():
    """With W(0) set to 0, a round with a negligible rate restores it."""
    x, y = maps(3)
    of = subsets(len(x))
    first, _ = fitted(x, y, of, order=1)
    with torch.no_grad():
        first.net.weights[0].zero_()
    still = Optimiser(epochs=60, learning_rate=1e-9, gain_learning_rate=1e-9, weight_decay=0.0)
    again = fit(
        x, y, order=1, train=of["train"], centring="channel", optimiser=still,
        initial=first.net, choose="last",
    )  # fmt: skip
    losses = again.history["validation_mse"]
    assert losses[0] == pytest.approx(1, abs=0.2)
    assert losses[1] < 0.1
