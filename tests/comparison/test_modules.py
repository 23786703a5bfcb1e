"""Modules that are wrapped or hard to copy can be tapped, and are not changed."""

import threading
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, weight_norm

from kc.comparison import CompareSettings, OwnNetwork, layers_of
from kc.comparison.layers import tap
from kc.comparison.modules import copy_of
from kc.comparison.sides import network_of, open_side
from kc.errors import NetworkError

PICTURES = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        return self.two(torch.relu(self.norm(self.one(x))))


class Keeping(Net):
    """Keeps its outputs, and objects that cannot be copied."""

    def __init__(self):
        super().__init__()
        self.lock, self.numbers = threading.Lock(), (k for k in range(3))

    def forward(self, x):
        self.kept = [self.one(x)]
        return self.two(self.kept[0])


def old_norm():
    net = Net()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        net.two = weight_norm(net.two)
    return net


def new_norm():
    net = Net()
    parametrizations.weight_norm(net.two)
    return net


class Optimised(nn.Module):
    """Holds a network as torch.compile's does, whose import takes eight seconds."""

    def __init__(self, module):
        super().__init__()
        self._orig_mod = module

    def forward(self, x):
        return self._orig_mod(x)


def parts_wrapped():
    net = Net()
    net.one, net.two = Optimised(net.one), nn.DataParallel(net.two)
    return net


def frozen():
    net = Net()
    net.norm.eval()
    net.one.weight.requires_grad_(False)
    return net


MAKES = {
    "plain": Net,
    "kept": Keeping,
    "old weight norm": old_norm,
    "weight norm": new_norm,
    "data parallel": lambda: nn.DataParallel(Net()),
    "compiled": lambda: Optimised(Net()),
    "parts": parts_wrapped,
    "frozen": frozen,
}


def plain(net):
    """Return the layer's output by a hook, in eval mode, without wrappers."""
    inner = getattr(net, "module", None) or getattr(net, "_orig_mod", net)
    found, modes = {}, [module.training for module in net.modules()]
    two = getattr(inner.two, "module", inner.two)
    handle = two.register_forward_hook(lambda _, __, given: found.update(two=given.clone()))
    inner.eval()
    with torch.inference_mode():
        type(inner).forward(inner, PICTURES)
    handle.remove()
    for module, mode in zip(net.modules(), modes, strict=True):
        module.training = mode
    return found["two"]


@pytest.mark.parametrize("how", ["graph", "hooks"])
@pytest.mark.parametrize("name", MAKES)
def test_features_are_those_of_the_module_which_is_not_changed(name, how):
    net = MAKES[name]()
    if name in ("kept", "old weight norm", "weight norm"):
        net(PICTURES)  # now it holds a gradient history
    modules = list(net.modules())
    before = [
        (m.training, len(m._forward_hooks), [p.requires_grad for p in m.parameters()])
        for m in modules
    ]
    state = {key: value.clone() for key, value in net.state_dict().items()}
    side = open_side("a", net, "two", CompareSettings(size=16, tap=how))
    with torch.inference_mode():
        made = side.source.extract(PICTURES)["two"]
    assert list(net.modules()) == modules
    assert before == [
        (m.training, len(m._forward_hooks), [p.requires_grad for p in m.parameters()])
        for m in modules
    ]
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    torch.testing.assert_close(made, plain(net), rtol=1e-6, atol=1e-6)


def test_a_users_network_keeps_its_modes():
    net = Net().train()
    layers_of(OwnNetwork("mine", net), 16)
    tap(OwnNetwork("mine", net), ["two"], 16)
    assert all(module.training for module in net.modules())
    assert int(net.norm.num_batches_tracked) == 0


class Stubborn(Net):
    def __deepcopy__(self, _):
        raise RuntimeError("once only")


class Unique(nn.Parameter):
    def __deepcopy__(self, _):
        raise RuntimeError("once only")


def test_a_module_that_refuses_to_be_copied_is_rebuilt_from_its_parts():
    """Its parts are held in a plain list too, which must hold the copies."""
    net = Stubborn().train()
    net.parts, net.lock = [net.one], threading.Lock()
    copied = copy_of(net, "mine")
    assert not copied.training
    assert net.training
    assert copied.one is copied.parts[0] is not net.one
    assert copied.one.weight is not net.one.weight
    assert torch.equal(copied(PICTURES), net.eval()(PICTURES))
    with torch.no_grad():
        copied.one.weight.zero_()
    assert bool(net.one.weight.any())


def test_networks_that_cannot_be_tapped_are_refused():
    net = Net()
    net.one.weight = Unique(net.one.weight.detach())
    with pytest.raises(NetworkError, match=r"cannot be copied \(RuntimeError: once .*Fix: name a"):
        layers_of(OwnNetwork("mine", net), 16)
    with torch.device("meta"):
        nowhere = Net()
    lazy = nn.Sequential(nn.Flatten(), nn.LazyLinear(3))
    for net, told in ((nowhere, "'one.weight' has no numbers"), (lazy, "'1.weight' has no numb")):
        with pytest.raises(NetworkError, match=rf"mine: {told}.*Fix: call a lazy module once"):
            layers_of(OwnNetwork("mine", net), 16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.script(nn.Sequential(nn.Conv2d(3, 2, 3)))
    with pytest.raises(NetworkError, match=r"mine: is compiled to TorchScript.*Fix: give the nn"):
        layers_of(OwnNetwork("mine", script), 16)
    with pytest.raises(NetworkError, match=r"a is a str, expected a network .*Fix: an nn\.Module"):
        network_of("a", "resnet18")
