import copy
import functools
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from kc.errors import NetworkError
from kc.names import LAYER_NODES
from kc.networks import build, record, split
from kc.networks.tails import (
    HeldFeatures,
    correct,
    fresh_tail,
    held,
    predictions,
    subset_head,
    subset_labels,
    train_tail,
)
from kc.settings.recipes import Fresh, Network, Refine

NARROW = Network(width=0.0625, head_units=16, dropout=0.3, small_input=True)
CPU = torch.device("cpu")
QUICK = Refine(epochs=20, batch_size=16, first_rate=0.1, last_rate=0.01)
ONCE = Refine(epochs=1, batch_size=8, first_rate=1e-2, last_rate=1e-3)
CASES = [(a, n) for a in ("alexnet", "vgg16_bn", "resnet34") for n in LAYER_NODES[a].values()]


def tail_accuracy(tail, features, labels):
    return 100 * correct(tail, features, labels).mean()


@functools.cache
def network(architecture):
    return build(architecture, 5, NARROW, seed=1)


def pictures(n=6):
    return torch.rand(n, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def cut(architecture, node):
    """Return a copy of a network, its tail, and its own features."""
    model = copy.deepcopy(network(architecture))
    tail = split(model, node, pictures(2))[1]
    return model, tail, HeldFeatures(record(model, [node], pictures())[node])


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def blobs(n=120, classes=4, seed=0):
    """Return features of class c around unit vector c, with labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    noise = 0.2 * torch.randn(n, classes, generator=generator)
    return HeldFeatures(F.one_hot(labels, classes) + noise), labels


def linear(turn=0, classes=4):
    """Return a head that classifies blobs correctly; turned, it predicts the next class."""
    head = nn.Sequential(nn.Linear(classes, classes))
    head[0].weight = nn.Parameter(5 * torch.eye(classes).roll(turn, 0))
    head[0].bias = nn.Parameter(torch.zeros(classes))
    return head


@dataclass
class Lazy:
    """Features that are made on demand; records the requested rows."""

    values: torch.Tensor
    asked: list = field(default_factory=list)

    def __len__(self):
        return len(self.values)

    def batch(self, rows):
        self.asked.append(rows.tolist())
        return 2 * self.values[torch.from_numpy(rows)]


@pytest.mark.parametrize(("architecture", "node"), CASES)
def test_the_untrained_tail_on_own_features_gives_the_networks_logits_bit_for_bit(
    architecture, node
):
    model, tail, own = cut(architecture, node)
    logits = model(pictures())
    assert torch.equal(tail(own.batch(np.arange(6))), logits)
    assert torch.equal(tail(held(own).batch(np.arange(6))), logits)
    assert not torch.equal(tail(own.batch(np.arange(6)[::-1].copy())), logits)
    np.testing.assert_array_equal(predictions(tail, own), logits.argmax(1))


@pytest.mark.parametrize("recipe", [ONCE, Fresh(epochs=2, batch_size=4)])
@pytest.mark.parametrize(
    ("architecture", "node"),
    [("alexnet", "features.8"), ("vgg16_bn", "features.40"), ("resnet34", "layer3.5.add")],
)
def test_training_changes_every_weight_above_the_tap_in_a_copy_only(architecture, node, recipe):
    model, tail, own = cut(architecture, node)
    before, logits = state(model), model(pictures())
    modes = {name: m.training for name, m in model.named_modules()}
    found = train_tail(tail, own, torch.arange(6) % 5, recipe, 0, CPU)
    assert same(state(model), before)
    assert torch.equal(model(pictures()), logits)
    assert {name: m.training for name, m in model.named_modules()} == modes
    assert not found.tail.training
    start = state(tail)
    kept = [n for n, p in found.tail.named_parameters() if torch.equal(p, start[n])]
    assert kept == []
    statistics = [n for n in start if n.endswith("running_mean")]
    assert all(not torch.equal(found.tail.state_dict()[n], start[n]) for n in statistics)
    assert (len(statistics) > 0) == (architecture != "alexnet")


@pytest.mark.parametrize(
    "recipe", [QUICK, Fresh(epochs=30, batch_size=16, peak_rate=0.5)], ids=["adam", "sgd"]
)
def test_a_head_with_rotated_classes_learns_them(recipe):
    own, labels = blobs()
    assert tail_accuracy(linear(turn=1), own, labels) < 10
    found = train_tail(linear(turn=1), own, labels, recipe, 0, CPU)
    assert tail_accuracy(found.tail, *blobs(seed=1)) > 95
    assert found.history["train_accuracy"].iloc[-1] > 95
    assert found.history["loss"].iloc[-1] < found.history["loss"].iloc[0] / 3


def test_features_independent_of_labels_give_chance_accuracy():
    own, labels = blobs(400)
    noise = HeldFeatures(torch.randn(400, 4, generator=torch.Generator().manual_seed(2)))
    found = train_tail(linear(), noise, labels, QUICK, 0, CPU)
    fresh = HeldFeatures(torch.randn(400, 4, generator=torch.Generator().manual_seed(3)))
    assert tail_accuracy(found.tail, fresh, labels) < 35
    assert tail_accuracy(linear(), own, labels) > 95


def test_the_papers_recipe_keeps_a_good_tail_good():
    own, labels = blobs()
    found = train_tail(linear(), own, labels, Refine(), 0, CPU)
    assert tail_accuracy(found.tail, own, labels) >= tail_accuracy(linear(), own, labels)
    assert 0 < (found.tail[0].weight - linear()[0].weight).abs().max() < 0.01
    rates = found.history["learning_rate"]
    np.testing.assert_allclose(rates, np.geomspace(1e-5, 1e-7, 100), rtol=1e-9)
    assert list(found.history["epoch"]) == list(range(1, 101))


def test_one_step_is_adams_with_the_decay_in_the_gradient():
    own, labels = blobs(8)
    recipe = Refine(epochs=1, batch_size=8, first_rate=0.1, last_rate=0.01, weight_decay=0.3)
    found = train_tail(linear(turn=1), own, labels, recipe, 0, CPU)
    x, w = own.values.double(), linear(turn=1)[0].weight.detach().double()
    wrong = torch.softmax(x @ w.T, 1) - F.one_hot(labels, 4)
    gradient = wrong.T @ x / 8 + 0.3 * w
    step = 0.1 * gradient / (gradient.abs() + 1e-8)
    torch.testing.assert_close(found.tail[0].weight.double(), w - step, rtol=0, atol=1e-6)


def test_sgd_goes_up_for_a_third_and_down_after():
    own, labels = blobs(32)
    recipe = Fresh(epochs=20, batch_size=8, peak_rate=0.2)
    rates = train_tail(linear(), own, labels, recipe, 0, CPU).history["learning_rate"].to_numpy()
    top = int(rates.argmax())
    assert top == 5
    assert rates[top] == pytest.approx(0.2, rel=0.01)
    assert rates[-1] == pytest.approx(0.2 / 1e4)
    assert (np.diff(rates[: top + 1]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()


@pytest.mark.parametrize("recipe", [ONCE, Fresh(epochs=2, batch_size=4)])
def test_same_seed_same_bits_other_seed_other_bits(recipe):
    _, tail, own = cut("alexnet", "features.8")
    torch.manual_seed(9)
    before = torch.get_rng_state()
    runs = [train_tail(tail, own, torch.arange(6) % 5, recipe, seed, CPU) for seed in (3, 3, 4)]
    assert torch.equal(torch.get_rng_state(), before)
    assert same(state(runs[0].tail), state(runs[1].tail))
    assert runs[0].history.equals(runs[1].history)
    assert not same(state(runs[0].tail), state(runs[2].tail))


def test_tails_are_trained_on_the_same_batches_each_as_if_alone():
    own, labels = blobs()
    tail = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 4))
    features = {name: Lazy(own.values * k) for name, k in (("x0", 1.0), ("x0+x1", 2.0))}
    found = {name: train_tail(tail, each, labels, QUICK, 1, CPU) for name, each in features.items()}
    assert list(found) == list(features)
    assert features["x0"].asked == features["x0+x1"].asked
    asked = features["x0"].asked[1:]
    assert len(asked) == 20 * 8
    assert sorted(row for rows in asked[:8] for row in rows) == list(range(120))
    assert asked[0] != asked[8]
    alone = train_tail(tail, features["x0+x1"], labels, QUICK, 1, CPU)
    assert same(state(alone.tail), state(found["x0+x1"].tail))
    assert not same(state(alone.tail), state(found["x0"].tail))


def test_features_made_on_demand_and_held_ones_train_alike():
    own, labels = blobs(300)
    lazy = Lazy(own.values)
    kept = held(lazy)
    assert torch.equal(kept.values, 2 * own.values)
    assert [len(rows) for rows in lazy.asked] == [256, 44]
    first, second = (train_tail(linear(), f, labels, ONCE, 0, CPU) for f in (lazy, kept))
    assert same(state(first.tail), state(second.tail))


def test_stored_half_precision_comes_as_float32():
    assert HeldFeatures(torch.ones(3, 2, dtype=torch.float16)).batch(np.arange(2)).dtype == (
        torch.float32
    )


def test_batch_norm_trains_and_is_spared_a_batch_of_one():
    own, labels = blobs(9)
    tail = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 4))
    recipe = Refine(epochs=3, batch_size=4, first_rate=1e-3, last_rate=1e-4)
    found = train_tail(tail, own, labels, recipe, 0, CPU)
    assert found.tail[0].num_batches_tracked == 6
    np.testing.assert_allclose(found.history["learning_rate"], np.geomspace(1e-3, 1e-4, 3))


def test_dropout_is_live_in_training_and_off_in_predictions():
    own, labels = blobs()
    tails = [nn.Sequential(nn.Dropout(p), *linear(turn=1)) for p in (0.0, 0.5)]
    without, dropping = (train_tail(tail, own, labels, ONCE, 0, CPU).tail for tail in tails)
    assert not torch.equal(without[1].weight, dropping[1].weight)
    np.testing.assert_array_equal(predictions(dropping, own), predictions(dropping, own))


def test_accuracy_is_the_share_of_correct_images():
    own, labels = blobs(300)
    labels = labels.clone()
    labels[290:] = (labels[290:] + 1) % 4
    right = correct(linear(), own, labels)
    assert right.dtype == bool
    assert right[:290].mean() > 0.95
    assert not right[290:].any()
    assert tail_accuracy(linear(), own, labels) == pytest.approx(100 * right.sum() / 300)


def test_a_fresh_tail_is_drawn_by_the_modules_own_rules():
    _, tail, own = cut("vgg16_bn", "features.30")
    train_tail(tail, own, torch.arange(6) % 5, ONCE, 0, CPU)
    before = state(tail)
    torch.manual_seed(9)
    generator = torch.get_rng_state()
    first, again, other = (fresh_tail(tail, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), generator)
    assert same(state(tail), before)
    assert same(state(first), state(again))
    assert not same(state(first), state(other))
    for module in first.modules():
        if isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            assert 0.9 * bound < module.weight.abs().max() <= bound
        if isinstance(module, nn.BatchNorm2d):
            assert torch.all(module.running_var == 1)


def test_a_fresh_tail_has_chance_accuracy():
    own, labels = blobs(400)
    found = [tail_accuracy(fresh_tail(linear(), seed), own, labels) for seed in range(8)]
    assert np.mean(found) < 50 < tail_accuracy(linear(), own, labels)


def test_parameters_without_an_initial_rule_are_refused():
    tail = nn.Sequential(nn.Linear(4, 4))
    tail.register_parameter("token", nn.Parameter(torch.zeros(4)))
    with pytest.raises(NetworkError, match=r"'Sequential' has parameters but no reset_param"):
        fresh_tail(tail, 0)


@pytest.mark.parametrize(("architecture", "node"), [c for c in CASES if c[1] != "classifier.6"])
def test_a_subset_head_keeps_its_classes_in_order(architecture, node):
    model, tail, own = cut(architecture, node)
    before = state(model)
    logits = model(pictures())
    smaller = subset_head(tail, [3, 0])
    torch.testing.assert_close(smaller(own.values.clone()), logits[:, [3, 0]])
    torch.testing.assert_close(subset_head(model, [3, 0])(pictures()), logits[:, [3, 0]])
    assert not torch.allclose(logits[:, 3], logits[:, 0])
    assert same(state(model), before)
    found = train_tail(smaller, own, torch.arange(6) % 2, ONCE, 0, CPU)
    assert set(predictions(found.tail, own)) <= {0, 1}


def test_a_head_without_bias_has_a_subset_too():
    head = nn.Linear(4, 3, bias=False)
    smaller = subset_head(nn.Sequential(head), [2])
    assert torch.equal(smaller[0].weight, head.weight[[2]])


def test_subset_labels_are_places_in_the_subset():
    labels = torch.tensor([7, 2, 2, 5])
    assert subset_labels(labels, [5, 7, 2]).tolist() == [1, 2, 2, 0]
    with pytest.raises(NetworkError, match=r"labels \[2, 7\] are not among the classes kept, \[5"):
        subset_labels(labels, [5])


@pytest.mark.parametrize("classes", [[], [0, 0], [4], [-1]])
def test_classes_a_head_does_not_have_are_refused(classes):
    with pytest.raises(NetworkError, match=r"expected one or more different classes out of 0 to 3"):
        subset_head(linear(), classes)


def test_a_network_without_linear_layer_has_no_subset():
    with pytest.raises(NetworkError, match="the network has no linear layer"):
        subset_head(nn.Sequential(nn.Conv2d(3, 4, 1)), [0])


@pytest.mark.parametrize("count", [7, 1])
def test_features_and_labels_must_be_equally_many_and_at_least_two(count):
    own = HeldFeatures(torch.zeros(min(count, 6), 4))
    labels = torch.zeros(count, dtype=torch.int64)
    with pytest.raises(NetworkError, match=rf"features and {count} labels, expected equally"):
        train_tail(linear(), own, labels, ONCE, 0, CPU)


@pytest.mark.parametrize("strange", [-1, 4])
def test_labels_beyond_the_logits_are_refused(strange):
    own, labels = blobs()
    labels[3] = strange
    with pytest.raises(NetworkError, match=r"expected 0 to 3 for its 4 logits"):
        train_tail(linear(), own, labels, ONCE, 0, CPU)


def test_features_of_other_channels_are_refused():
    _, tail, own = cut("alexnet", "features.8")
    tail.train()
    wide = HeldFeatures(own.values.repeat(1, 2, 1, 1))
    with pytest.raises(NetworkError, match=r"features of shape \(32, \d+, \d+\).*channels of the"):
        train_tail(tail, wide, torch.arange(6) % 5, ONCE, 0, CPU)
    assert tail.training


def test_a_tail_without_parameters_is_refused():
    _, tail, own = cut("alexnet", "classifier.6")
    with pytest.raises(NetworkError, match="no parameters are above the tap"):
        train_tail(tail, own, torch.arange(6) % 5, ONCE, 0, CPU)


def test_diverged_training_is_an_error():
    own, labels = blobs()
    recipe = Fresh(epochs=10, batch_size=16, peak_rate=1e38)
    with pytest.raises(NetworkError, match=r"diverged in epoch \d+.*lower the tail's learning"):
        train_tail(linear(), own, labels, recipe, 0, CPU)
