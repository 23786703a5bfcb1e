"""fit: what it keeps, reads, reproduces and refuses."""

import numpy as np
import pandas as pd
import pytest
import torch

from kc.consistency import ConsistencyNet, fit
from kc.errors import FeatureError, SettingsError
from kc.settings.reconstruction import Optimiser

FAST = Optimiser(epochs=3, learning_rate=2e-3)


def draw(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def related(source=(5, 4, 4), target=(4, 4, 4), count=160):
    """Return features that share a non-linear part, each with a part of its own."""
    x = draw(1, count, *source)
    net = ConsistencyNet(source, target, 1, seed=9).eval()
    with torch.no_grad():
        y = 0.7 + 3 * net(x)
    return x, y + 0.3 * y.std() * draw(2, *y.shape)


def same_weights(a, b):
    pairs = zip(a.net.state_dict().values(), b.net.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("preset", ["paper", "released"])
@pytest.mark.parametrize(
    ("source", "target"),
    [((5, 4, 4), (4, 4, 4)), ((5, 5, 4), (4, 3, 3)), ((6,), (4,)), ((3, 6), (3, 4))],
)
def test_parts_sum_to_the_target_in_its_own_units(source, target, preset, order):
    x, y = (
        related(source, target)
        if source[1:] == target[1:]
        else (
            draw(1, 160, *source),
            draw(2, 160, *target),
        )
    )
    result = fit(x, y, order=order, preset=preset, optimiser=FAST, epochs=2)
    parts = result.decompose(x, y)
    assert parts.components.shape == (order + 1, *y.shape)
    torch.testing.assert_close(parts.components.sum(0) + parts.delta, y, atol=1e-4, rtol=0)
    found = result.variances(x, y)
    names = [f"x{k}" for k in range(order + 1)]
    assert list(found.index) == [*names, "xdelta", "target", "cross"]
    assert found["target"] == pytest.approx(float(y.double().var(correction=0)), rel=1e-6)
    assert found["xdelta"] == pytest.approx(float(parts.delta.double().var(correction=0)), rel=1e-4)
    assert found["cross"] == pytest.approx(
        found["target"] - found[[*names, "xdelta"]].sum(), abs=1e-9
    )
    assert result.instability(x, y) == pytest.approx(found["xdelta"] / found["target"])


def test_the_removed_mean_belongs_to_order_zero():
    x, y = related()
    result = fit(x, y + 50, optimiser=FAST)
    parts = result.decompose(x, y + 50)
    means = parts.components.mean((1, 2, 3, 4))
    assert abs(float(means[0]) - 50) < 2
    assert means[1:].abs().max() < 2


def test_channel_centring_is_the_mean_of_channel_variances():
    x, y = related()
    y = y + 3 * draw(5, 1, 4, 1, 1)
    found = fit(x, y, optimiser=FAST).variances(x, y, centring="channel")
    by_channel = y.double().transpose(0, 1).flatten(1).var(1, correction=0)
    assert found["target"] == pytest.approx(float(by_channel.mean()), rel=1e-6)
    assert found["target"] < 0.9 * float(y.double().var(correction=0))


def test_sigma_is_the_exact_variance_over_the_training_images():
    x, y = related()
    train = np.arange(100)
    result = fit(x, y, order=2, train=train, optimiser=FAST)
    z = result.normalisation.source(x[:100])
    with torch.no_grad():
        for k in (2, 1):
            h = result.net.hidden(z, k).double().transpose(0, 1).flatten(1)
            torch.testing.assert_close(
                result.net.variance[k - 1].double(), h.var(1, correction=0), rtol=1e-5, atol=0
            )


def test_units_are_those_of_the_images_fitted_on():
    x, y = related()
    result = fit(x, y, train=np.arange(100), optimiser=FAST)
    rows = np.setdiff1d(np.arange(100), result.validation)
    assert result.normalisation.source_mean == pytest.approx(float(x[rows].double().mean()))
    assert result.normalisation.target_std == pytest.approx(
        float(y[rows].double().std(correction=0))
    )


def test_history_lists_start_and_rounds_and_the_best_is_kept():
    x, y = related()
    result = fit(x, y, optimiser=FAST, epochs=90)
    history = result.history
    assert list(history["stage"]) == ["start", "round", "round", "round"]
    # two steps per epoch; the last round is cut short
    assert list(history["epoch"]) == [0, 30, 60, 90]
    assert {"p1", "p2", "train_mse", "validation_mse"} <= set(history.columns)
    penalty = 0.001 * (history["p1"] ** 2 + history["p2"] ** 2)
    for side in ("train", "validation"):
        expected = history[f"{side}_mse"] + penalty
        np.testing.assert_allclose(history[f"{side}_objective"], expected, rtol=1e-6)
    assert result.chosen.validation_mse == history["validation_mse"].min()


def test_the_linear_map_is_kept_if_no_epoch_is_better():
    x, y = draw(1, 60, 8), draw(2, 60, 8)
    result = fit(x, y, penalty=10.0, optimiser=Optimiser(epochs=2, gain_learning_rate=1e-6))
    assert result.chosen.stage == "start"
    assert float(result.net.gains.detach().max()) < 1e-6


def test_last_epoch_is_kept_on_demand():
    x, y = related()
    result = fit(x, y, preset="released", epochs=4, choose="last")
    assert (result.chosen.epoch, result.chosen.stage) == (4, "epoch")


def test_released_uses_raw_features_and_its_schedule(monkeypatch):
    x, y = related()
    rates = []
    step = torch.optim.Adam.step
    monkeypatch.setattr(
        torch.optim.Adam,
        "step",
        lambda self: rates.append((self.param_groups[0]["lr"], step(self))[0]),
    )
    result = fit(x, y, preset="released", epochs=3)
    assert sorted(set(rates), reverse=True) == pytest.approx([1e-4, 1e-5, 1e-6])
    assert result.normalisation == (0.0, 1.0, 0.0, 1.0)
    assert result.net.sigma == "image"


def test_the_closed_form_start_is_ridge_regression():
    x, y = draw(1, 300, 6), draw(2, 300, 6) @ draw(3, 6, 4)
    y = y + x @ draw(4, 6, 4)
    result = fit(x, y, order=0, optimiser=Optimiser(epochs=1, learning_rate=1e-9))
    rows = np.setdiff1d(np.arange(300), result.validation)
    a, b = result.normalisation.source(x[rows]), result.normalisation.target(y[rows])
    exact = torch.linalg.lstsq(a.double(), b.double()).solution.T
    assert (result.net.weights[0].detach() - exact).abs().max() < 0.05
    assert result.history["train_mse"][0] == pytest.approx(
        float((a.double() @ exact.T - b).square().mean()), rel=1e-2
    )


def test_only_training_rows_are_read():
    x, y = related()
    first = fit(x, y, train=np.arange(100), optimiser=FAST)
    x[100:], y[100:] = 1e4 * x[100:], float("nan")
    mask = np.arange(160) < 100
    assert same_weights(first, fit(x, y, train=mask, optimiser=FAST))
    y[first.validation] += 1
    assert not same_weights(first, fit(x, y, train=mask, optimiser=FAST))


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(preset):
    x, y = related()
    state = torch.get_rng_state()
    one, two = (fit(x, y, preset=preset, optimiser=FAST, epochs=2) for _ in range(2))
    other = fit(x, y, preset=preset, optimiser=FAST, epochs=2, seed=1)
    assert torch.equal(state, torch.get_rng_state())
    assert same_weights(one, two)
    assert not same_weights(one, other)
    pd.testing.assert_frame_equal(one.history, two.history)


def test_bfloat16_products_stay_close():
    x, y = related()
    one = fit(x, y, optimiser=FAST).instability(x, y)
    two = fit(x, y, optimiser=FAST, precision="bfloat16").instability(x, y)
    assert one == pytest.approx(two, abs=0.02)


def test_numpy_and_half_precision_arrays_are_accepted():
    x, y = related()
    x, y = x.half(), y.half()
    assert same_weights(fit(x, y, optimiser=FAST), fit(x.numpy(), y.numpy(), optimiser=FAST))


def test_parts_that_do_not_sum_to_g_raise_an_error(monkeypatch):
    x, y = related()
    result = fit(x, y, optimiser=FAST)
    branched = ConsistencyNet._branched
    monkeypatch.setattr(ConsistencyNet, "_branched", lambda *given: 1.001 * branched(*given))
    with pytest.raises(RuntimeError, match="miss its forward pass by"):
        result.decompose(x, y)


def test_bad_features_are_refused_with_what_and_where():
    x, y = related()
    with pytest.raises(FeatureError, match="source has 160 images, target 159"):
        fit(x, y[:159])
    with pytest.raises(FeatureError, match=r"source: shape \(160,\); expected vectors"):
        fit(x[:, 0, 0, 0], y)
    with pytest.raises(FeatureError, match="of the same kind"):
        fit(x, y[:, :, 0, 0])
    with pytest.raises(FeatureError, match="too few to fit g"):
        fit(x[:5], y[:5])
    with pytest.raises(FeatureError, match=r"train: a mask of shape \(3,\) for 160 images"):
        fit(x, y, train=np.ones(3, dtype=bool))
    with pytest.raises(FeatureError, match=r"rows 0..160 requested"):
        fit(x, y, train=np.arange(161))
    with pytest.raises(FeatureError, match="target: the feature is constant over"):
        fit(x, torch.full_like(y, 3.0))
    bad = y.clone()
    bad[37, 1, 2, 3] = float("inf")
    with pytest.raises(FeatureError, match="target: image in row 37 holds NaN or infinity"):
        fit(x, bad)
    result = fit(x, y, optimiser=FAST)
    with pytest.raises(FeatureError, match="this g maps"):
        result.decompose(y, x)


@pytest.mark.parametrize(
    ("about", "told"),
    [
        ({"order": 6}, r"^fit: order: Input should be less than or equal to 5 \(got 6\)\. Fix"),
        ({"kernel_size": 4}, r"^fit: kernel_size: Input should be 1, 3 or 5 \(got 4\)"),
        ({"buffer_blocks": 0}, r"^fit: buffer_shards: Input should be greater than or equal to 1"),
        ({"penalty": "raw_equivalent"}, r"^fit: penalty 'raw_equivalent': expected a number"),
    ],
)
def test_invalid_settings_are_refused(about, told):
    with pytest.raises(SettingsError, match=told):
        fit(*related(), **about)


@pytest.mark.parametrize("name", ["oder", "components", "buffer_shards"])
def test_an_unknown_keyword_is_refused(name):
    with pytest.raises(TypeError, match=rf"unexpected keyword argument '{name}'"):
        fit(*related(), **{name: 1})


def test_a_step_along_a_path_moves_away_from_its_start():
    x = draw(1, 400, 8)
    y = torch.relu(x @ draw(2, 8, 8)) @ draw(3, 8, 6)
    y = y - y.mean()
    about = {"order": 1, "train": range(300)}
    own = fit(x, y, penalty=0.0, **about)
    before = own.chosen.gains[0]
    step = fit(x, y, penalty=1.0, initial=own.net, choose="last", **about)
    # validation MSE of the start, under another lambda, is below all that follow
    start, *after = step.history["validation_mse"]
    assert after[-1] > 1.05 * start
    assert step.settled == "plateau"
    assert abs(step.chosen.gains[0]) < 0.5 * before


def test_a_mean_a_million_times_the_spread_does_not_change_the_share():
    """In float32 together with the mean, predictions of the spread would be rounded."""
    x = draw(1, 200, 4)
    y = 1 + 1e-6 * (x @ draw(2, 4, 4)).double()
    y = y.float()
    result = fit(x, y, order=0, optimiser=FAST, centring="channel")
    units = result.normalisation
    with torch.no_grad():
        given = result.net.double()(units.source(x).double()) * units.target_std
    missed = (y.double() - torch.as_tensor(units.target_mean).double() - given).var(0)
    expected = float(missed.sum() / y.double().var(0).sum())
    result.net.float()
    parts = result.decompose(x, y)
    found = float(parts.delta.double().var(0).sum() / y.double().var(0).sum())
    assert found == pytest.approx(expected, rel=1e-2)
    # the same with the mean in both, which float32 cannot represent
    summed = float((y - parts.components.sum(0)).double().var(0).sum() / y.double().var(0).sum())
    assert summed > 1.3 * expected
