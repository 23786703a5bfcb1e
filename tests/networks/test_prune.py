import copy
import functools
import math
from statistics import NormalDist

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from kc.errors import NetworkError
from kc.networks import build
from kc.networks.prune import apply_masks, bake, removed_share, solve_multiples
from kc.settings.recipes import Network
from tests.reference import plain_pruning

NARROW = Network(width=0.125, head_units=16, dropout=0.0, small_input=True)
ARCHITECTURES = ["alexnet", "vgg16_bn", "resnet34"]
KINDS = (nn.Conv2d, nn.Linear)


@functools.cache
def built(architecture, seed):
    return build(architecture, 5, NARROW, seed)


def network(architecture="alexnet", seed=1):
    return copy.deepcopy(built(architecture, seed))


def pictures(n=3):
    return torch.rand(n, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def weights(model, kind=KINDS):
    return [m.weight.detach().clone() for m in model.modules() if isinstance(m, kind)]


def zeros(model, kind=KINDS):
    return torch.cat([(w == 0).flatten() for w in weights(model, kind)])


def drawn(shape, seed, scale):
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def gaussian():
    """Return two convolutions of very different deviations and an FC layer of uniform weights."""
    model = nn.Sequential(
        nn.Conv2d(8, 64, 3), nn.Conv2d(64, 64, 3), nn.Flatten(), nn.Linear(64, 500)
    )
    model[0].weight = nn.Parameter(drawn((64, 8, 3, 3), 0, 10.0))
    model[1].weight = nn.Parameter(drawn((64, 64, 3, 3), 1, 0.01))
    model[3].weight = nn.Parameter(torch.linspace(-1, 1, 32000).reshape(500, 64))
    return model


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_removed_weights_are_those_of_the_plain_rule(architecture):
    model = network(architecture)
    before = weights(model)
    apply_masks(model, 0.6, 1.1)
    kinds = [type(m) for m in model.modules() if isinstance(m, KINDS)]
    assert set(kinds) == set(KINDS)
    for was, now, kind in zip(before, weights(model), kinds, strict=True):
        gone = plain_pruning.removed(was.numpy(), 0.6 if kind is nn.Conv2d else 1.1)
        assert 0 < gone.sum() < gone.size
        np.testing.assert_array_equal(now.numpy(), np.where(gone, 0, was.numpy()))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_threshold_0_changes_nothing(architecture):
    model = network(architecture)
    logits, others = model(pictures()), len(list(model.parameters()))
    apply_masks(model, 0.0, 0.0)
    assert removed_share(model) == 0
    assert torch.equal(model(pictures()), logits)
    assert len(list(model.parameters())) == others


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_threshold_infinity_removes_all_weights_and_nothing_else(architecture):
    model = network(architecture)
    rest = {n: p.clone() for n, p in model.named_parameters() if p.ndim == 1}
    assert model(pictures()).std(0).max() > 0
    apply_masks(model, math.inf, math.inf)
    assert removed_share(model) == 1
    now = dict(model.named_parameters())
    assert all(torch.equal(now[n], p) for n, p in rest.items())
    last = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    assert torch.equal(model(pictures()), last.bias.expand(3, -1))


@pytest.mark.parametrize("group", ["s_conv", "s_fc"])
def test_each_multiple_touches_its_own_layers(group):
    model = network()
    apply_masks(model, **({"s_conv": 0.0, "s_fc": 0.0} | {group: math.inf}))
    assert zeros(model, nn.Conv2d).float().mean() == (group == "s_conv")
    assert zeros(model, nn.Linear).float().mean() == (group == "s_fc")


@pytest.mark.parametrize("removed", [0.5, 0.8, 0.9, 0.933, 0.97])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_requested_share_is_removed_from_each_group_and_in_total(architecture, removed):
    model = network(architecture)
    before = weights(model)
    found = solve_multiples(model, removed)
    assert all(torch.equal(a, b) for a, b in zip(before, weights(model), strict=True))
    apply_masks(model, *found)
    for kind in (nn.Conv2d, nn.Linear, KINDS):
        gone = zeros(model, kind)
        assert abs(int(gone.sum()) - removed * len(gone)) <= max(1, 1e-4 * len(gone))
    assert removed_share(model) == pytest.approx(removed, abs=2e-4)


@pytest.mark.parametrize("removed", [0.5, 0.9, 0.97])
def test_multiples_of_known_distributions_are_their_quantiles(removed):
    model = gaussian()
    found = solve_multiples(model, removed)
    assert found.s_conv == pytest.approx(NormalDist().inv_cdf((1 + removed) / 2), rel=0.02)
    assert found.s_fc == pytest.approx(removed * math.sqrt(3), rel=1e-3)
    apply_masks(model, *found)
    # each layer has its own deviation: wide and narrow convolutions lose the same share
    for i in (0, 1):
        assert (model[i].weight == 0).float().mean() == pytest.approx(removed, abs=0.02)


def test_shares_0_and_1_are_met_exactly():
    model = network()
    assert solve_multiples(model, 0.0) == (0, 0)
    apply_masks(model, *solve_multiples(model, 1.0))
    assert removed_share(model) == 1


def test_a_network_without_fc_layers_is_pruned_all_the_same():
    model = nn.Sequential(nn.Conv2d(3, 40, 3))
    apply_masks(model, *solve_multiples(model, 0.5))
    assert removed_share(model) == 0.5


def retrain(model):
    fast = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    model.train()
    for _ in range(4):
        fast.zero_grad()
        F.cross_entropy(model(pictures()), torch.tensor([0, 1, 2])).backward()
        fast.step()
    return model.eval()


@pytest.mark.parametrize("architecture", ["alexnet", "resnet34"])
def test_masks_hold_in_retraining_while_other_weights_change(architecture):
    model = network(architecture)
    apply_masks(model, *solve_multiples(model, 0.8))
    gone, before = zeros(model), torch.cat([w.flatten() for w in weights(model)])
    bake(retrain(model))
    after = torch.cat([w.flatten() for w in weights(model)])
    assert torch.all(after[gone] == 0)
    assert (after[~gone] != before[~gone]).float().mean() > 0.9


def test_zeros_without_masks_come_back_in_retraining():
    model = network()
    apply_masks(model, *solve_multiples(model, 0.8))
    bake(model)
    retrain(model)
    assert removed_share(model) < 0.4


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_baked_network_is_a_plain_one_with_zeros(architecture):
    model = network(architecture)
    names, share = set(model.state_dict()), 0.9
    apply_masks(model, *solve_multiples(model, share))
    assert set(model.state_dict()) != names
    retrain(model)
    logits = model(pictures())
    bake(model)
    assert set(model.state_dict()) == names
    plain = network(architecture, seed=2)
    plain.load_state_dict(model.state_dict())
    assert torch.equal(plain(pictures()), logits)
    assert removed_share(plain) == pytest.approx(share, abs=2e-4)
    assert torch.equal(copy.deepcopy(model)(pictures()), logits)


def test_pruning_twice_is_refused_until_baked():
    model = network()
    apply_masks(model, 0.5, 0.5)
    with pytest.raises(NetworkError, match=r"has masks already.*bake\(\)"):
        apply_masks(model, 1.0, 1.0)
    bake(model)
    apply_masks(model, 1.0, 1.0)


@pytest.mark.parametrize("multiples", [(-0.1, 1.0), (math.nan, 1.0)])
def test_an_invalid_multiple_is_refused_before_pruning(multiples):
    model = network()
    with pytest.raises(NetworkError, match=r"s_conv is (-0.1|nan), expected 0 or more"):
        apply_masks(model, *multiples)
    with pytest.raises(NetworkError, match=r"s_fc is (-0.1|nan), expected 0 or more"):
        apply_masks(model, *reversed(multiples))
    assert removed_share(model) == 0


@pytest.mark.parametrize("removed", [-0.1, 1.5, 93.3, math.nan])
def test_an_invalid_share_is_refused(removed):
    with pytest.raises(NetworkError, match=r"expected a share of the weights between 0 and 1"):
        solve_multiples(network(), removed)


def test_weights_of_one_size_are_refused():
    model = nn.Sequential(nn.Linear(100, 100))
    model[0].weight = nn.Parameter(torch.ones(100, 100))
    model[0].weight.data[:, ::2] = -1.0
    model[0].weight.data[:80, :80] = 0
    apply_masks(model, *solve_multiples(model, 0.64))
    assert removed_share(model) == 0.64
    bake(model)
    for removed, got in ((0.5, "64.00%|0.00%"), (0.8, "64.00%|100.00%")):
        with pytest.raises(NetworkError, match=rf"removes {removed:.2%} of.*removes ({got})"):
            solve_multiples(model, removed)
