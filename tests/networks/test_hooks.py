"""Features by hooks: names, copies, counts of calls, and an early end."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from kc.errors import NetworkError
from kc.networks.hooks import Hooked, leaves, survey, without_fastpath

PICTURES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
Pair = namedtuple("Pair", "left right")


@dataclass
class Output:
    last: torch.Tensor
    more: tuple
    size: int = 3


def plainly(model, pictures):
    return model(pictures)


def test_tensors_in_outputs_are_named_by_where_they_are():
    one, two, three = (torch.zeros(k) for k in range(3))
    given = {"a": one, "b": [two, {"c": Output(three, (one, 5, Pair(two, None)))}]}
    found = dict(leaves("block", given))
    assert list(found) == [
        "block:a", "block:b:0", "block:b:1:c:last", "block:b:1:c:more:0", "block:b:1:c:more:2:left"
    ]  # fmt: skip
    assert found["block:b:1:c:more:2:left"] is two
    assert dict(leaves("block", one)) == {"block": one}
    assert list(leaves("block", (3, "x", None))) == []


class Looped(nn.Module):
    """Calls a module as often as its pictures say, and counts what runs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.relu, self.relu_1 = nn.ReLU(inplace=True), nn.Identity()
        self.first, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
        self.ends = 0

    def forward(self, x):
        x = self.first(x)
        for _ in range(1 + 2 * int(x.sum() > 1e6)):
            x = self.relu_1(self.relu(x))
        x = self.relu(x)
        self.ends += 1
        return {"all": self.last(x), "mean": x.mean((2, 3))}


def test_calls_are_numbered_without_the_names_of_other_modules():
    net = Looped().eval()
    found = survey(net, plainly, PICTURES)
    assert list(found.features) == [
        "first", "relu", "relu_1", "relu_2", "last", "forward:all", "forward:mean"
    ]  # fmt: skip
    assert found.counts == {"first": 1, "relu": 2, "relu_1": 1, "last": 1, "forward": 1}
    assert found.origins["relu_2"] == "relu"
    # the ReLU works in place
    assert torch.equal(found.features["first"], net.first(PICTURES))
    assert float(found.features["first"].detach().min()) < 0
    assert survey(net, plainly, PICTURES, ["last"]).features["relu"] is None
    assert not any(module._forward_hooks for module in net.modules())


def test_what_follows_the_last_wanted_call_is_not_run():
    net = Looped().eval()
    hooked = Hooked(net, plainly, ["first", "relu"], {"first": 1, "relu": 2})
    with torch.inference_mode():
        found = hooked(PICTURES)
        assert net.ends == 0
        assert torch.equal(found["first"], net.first(PICTURES))
        assert torch.equal(found["relu"], net.first(PICTURES).relu())
        Hooked(net, plainly, ["last"], {"last": 1})(PICTURES)
    assert net.ends == 1
    assert not any(module._forward_hooks for module in net.modules())


def test_a_module_that_is_called_more_or_less_often_is_refused():
    net = Looped().eval()
    hooked = Hooked(net, plainly, ["relu_2", "last"], {"relu": 2, "last": 1})
    hooked(PICTURES)
    with pytest.raises(NetworkError, match=r"'relu' is called 4 times .* 2 times for .*Fix: take"):
        hooked(PICTURES * 1e9 * net.first.weight.mean((1, 2, 3)).sum().sign())
    less = Hooked(net, plainly, ["relu"], {"relu": 3})
    with pytest.raises(NetworkError, match=r"'relu' is called 2 times for these pictures, and 3"):
        less(PICTURES)


def test_an_output_that_is_no_tensor_each_time_is_refused():
    net = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 2, 3)))
    hooked = Hooked(net, plainly, ["conv:0"], {"conv": 1})
    with pytest.raises(NetworkError, match=r"layer 'conv:0' is no tensor for these.*Fix: take a"):
        hooked(PICTURES)


def test_hooks_are_removed_after_an_error_and_other_hooks_stay():
    net = Looped().eval()
    net.first.register_forward_hook(lambda _, __, given: 2 * given)
    doubled = survey(net, plainly, PICTURES).features["first"]
    net.first._forward_hooks.clear()
    assert torch.equal(doubled, 2 * net.first(PICTURES))
    with pytest.raises(RuntimeError):
        survey(net, plainly, PICTURES[:, :1])
    assert not any(module._forward_hooks for module in net.modules())


def test_hooks_inside_torchs_transformer_fire_without_the_fast_path():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    tokens = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    fast = torch.backends.mha.get_fastpath_enabled()
    with torch.inference_mode(), without_fastpath():
        assert not torch.backends.mha.get_fastpath_enabled()
        found = survey(layer, plainly, tokens)
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert {"self_attn:0", "linear1", "linear2", "norm2", "forward"} <= set(found.features)
