"""Pictures are converted to what a network takes; if it takes none, the error says why."""

import pytest
import torch
from torch import nn

from kc.comparison import OwnNetwork, layers_of
from kc.comparison.layers import tap
from kc.errors import NetworkError

PICTURES = torch.randn(3, 3, 28, 28, generator=torch.Generator().manual_seed(0))


def net(colours=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(colours, 4, 3, 2), nn.ReLU(), nn.Conv2d(4, 2, 3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("how", ["graph", "hooks"])
def test_pictures_are_cast_to_the_networks_precision(dtype, how):
    module = net().to(dtype).eval()
    tapped = tap(OwnNetwork("mine", module), ["2"], 28, how)
    name = str(dtype).removeprefix("torch.")
    assert tapped.told == f"pictures cast to {name}, as its parameters are"
    with torch.inference_mode():
        found = tapped.extract(PICTURES)["2"]
        assert found.dtype == dtype
        assert torch.equal(found, module(PICTURES.to(dtype)))


def test_pictures_are_made_grey_for_one_channel():
    module = net(1).eval()
    tapped = tap(OwnNetwork("mine", module), ["2"], 28)
    assert tapped.told == "pictures made grey (0.299 R + 0.587 G + 0.114 B)"
    red, green, blue = PICTURES.split(1, dim=1)
    with torch.inference_mode():
        wanted = module(0.299 * red + 0.587 * green + 0.114 * blue)
        torch.testing.assert_close(tapped.extract(PICTURES)["2"], wanted)
        # a grey picture is the one channel
        same = tapped.extract(red.expand(-1, 3, -1, -1))["2"]
        torch.testing.assert_close(same, module(red))
    assert tap(OwnNetwork("mine", net()), ["2"], 28).told == ""


class Viewing(nn.Module):
    """Treats a picture of three channels as three pictures."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(784, 5)

    def forward(self, x):
        return self.head(x.view(-1, 784))


def test_three_channels_are_not_taken_for_three_pictures():
    assert dict(layers_of(OwnNetwork("mine", Viewing()), 28))["head"] == (5,)
    with pytest.raises(NetworkError, match=r"pictures of 32 px .*with --size; it takes 28\.$"):
        layers_of(OwnNetwork("mine", Viewing()), 32)


class Options(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(3, 4, 3)

    def forward(self, x, mask=None, give=False, *more, scale=1.0, **rest):
        x = self.one(x if mask is None else x * mask)
        return x * scale if not more and rest.get("half") is None and not give else x[:1]


class Needy(nn.Conv2d):
    def forward(self, x, labels):
        return super().forward(x) * labels


class Named(nn.Conv2d):
    def forward(self, *, x):
        return super().forward(x)


def test_further_arguments_keep_their_defaults():
    module = Options()
    found = tap(OwnNetwork("mine", module), ["mul"], 28).extract(PICTURES)["mul"]
    assert torch.equal(found, module(PICTURES))


@pytest.mark.parametrize(("kind", "told"), [(Needy, "x, labels"), (Named, "x")])
def test_missing_arguments_of_forward_are_named(kind, told):
    fix = r"Fix: let a function in FILE\.py return \(network, call\)"
    with pytest.raises(NetworkError, match=rf"its forward needs {told}; .*{fix}"):
        layers_of(OwnNetwork("mine", kind(3, 2, 3)), 28)


def test_networks_that_do_not_take_pictures_are_refused():
    with pytest.raises(NetworkError, match=r"takes 4 channels, .*Fix: wrap .* makes 4 of 3\."):
        layers_of(OwnNetwork("mine", net(4)), 28)
    with pytest.raises(
        NetworkError, match=r"takes no pictures, neither of 28 px nor of 224 or .*Fix: let net\("
    ):
        layers_of(OwnNetwork("mine", nn.Sequential(nn.Flatten(), nn.Linear(11, 2))), 28)
