from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torchvision import models

from kc.comparison import OwnNetwork, layers_of, read_network
from kc.comparison.layers import tap
from kc.errors import NetworkError

PICTURE = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def small_vit() -> OwnNetwork:
    """A vision transformer of torchvision with two layers."""
    about = {"num_layers": 2, "num_heads": 2, "hidden_dim": 24, "mlp_dim": 48}
    return OwnNetwork("vit", models.VisionTransformer(image_size=32, patch_size=8, **about))


def test_layers_are_listed_with_their_shapes(nets):
    listed = dict(layers_of(read_network(f"{nets}:tiny"), 16))
    assert list(listed) == [
        "conv1", "relu", "conv2", "relu_1", "conv3", "relu_2", "mean", "head"
    ]  # fmt: skip
    assert listed["conv1"] == (4, 8, 8)
    assert listed["conv3"] == (4, 4, 4)
    assert listed["mean"] == (4,)


def test_sums_of_resnets_and_tokens_of_vits_are_listed():
    listed = dict(layers_of(read_network("resnet18", untrained=True), 64))
    assert listed["layer3.1.add"] == (256, 4, 4)
    tokens = dict(layers_of(small_vit(), 32))
    assert tokens["encoder.layers.encoder_layer_1.add_1"] == (17, 24)
    # sizes, parameters and tuples cannot be tapped
    assert not {"getitem", "x"} & set(tokens)


def test_a_relu_that_works_in_place_overwrites_nothing(nets):
    network = read_network(f"{nets}:tiny")
    tapped = tap(network, ["conv1", "relu", "conv3"], 16)
    with torch.inference_mode():
        found = tapped.extract(PICTURE)
        before = network.model.conv1(PICTURE)
        assert float(before.min()) < 0
        assert torch.equal(found["conv1"], before)
        assert torch.equal(found["relu"], before.relu())


def test_only_weights_and_code_change_the_digest(nets):
    def digest(seed=0, function="tiny", node="conv3"):
        return tap(read_network(f"{nets}:{function}", seed=seed), [node], 16).digest

    assert digest() == digest()
    assert len({digest(), digest(seed=1), digest(function="wide"), digest(node="conv2")}) == 4
    before = digest()
    nets.write_text(nets.read_text().replace("x = self.conv3(x)", "x = self.conv3(2 * x)"))
    assert digest() != before


def test_a_wrong_layer_gives_an_error_with_the_nearest_names(nets):
    with pytest.raises(NetworkError, match=r"unknown node 'conv4'; nearest: conv\d, .*8? nodes"):
        tap(read_network(f"{nets}:tiny"), ["conv4"], 16)


def test_a_node_without_a_feature_is_refused():
    with pytest.raises(
        NetworkError,
        match=r"vit: node 'getattr' gives a Size ; expected",
    ):
        tap(small_vit(), ["getattr"], 32)


def test_a_network_that_branches_on_values_is_refused(nets):
    with pytest.raises(
        NetworkError, match=r"nets\.py:branching: torch\.fx cannot .*Error.*Fix: --tap hooks, or"
    ):
        layers_of(read_network(f"{nets}:branching"), 16, "graph")


def test_a_network_whose_graph_loses_operations_is_refused(nets):
    told = r"nets\.py:forgetful: its graph .* gives other outputs.*Fix: --tap hooks, or"
    with pytest.raises(NetworkError, match=told):
        tap(read_network(f"{nets}:forgetful"), ["mean"], 16, "graph")


@dataclass
class Given:
    logits: torch.Tensor
    features: torch.Tensor


class Giving(torch.nn.Module):
    """Returns its output in some form; if it ``loses``, an in-place result is not used."""

    def __init__(self, form, loses):
        super().__init__()
        self.one, self.two = torch.nn.Conv2d(3, 6, 3), torch.nn.Conv2d(6, 6, 3)
        self.form, self.loses = form, loses

    def forward(self, x):
        x = self.one(x)
        if self.loses:
            F.relu_(x)
        else:
            x = F.relu(x)
        x = self.two(x)
        return self.form(x.mean((2, 3)), x)


FORMS = {
    "tuple": lambda a, b: (a, b),
    "dict": lambda a, b: {"logits": a, "features": b},
    "nested": lambda a, b: [{"logits": a}, (b, 3)],
    "dataclass": lambda a, b: Given(a, b),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_tensor_a_network_gives_is_compared(form):
    whole = OwnNetwork("mine", Giving(FORMS[form], loses=False))
    x = torch.randn(2, 3, 16, 16)
    made = tap(whole, ["two"], 16).extract(x)["two"]
    net = whole.model
    torch.testing.assert_close(made, net.two(F.relu(net.one(x))))
    with pytest.raises(NetworkError, match="gives other outputs than the network"):
        tap(OwnNetwork("mine", Giving(FORMS[form], loses=True)), ["two"], 16, "graph")


def test_a_network_that_gives_no_tensor_cannot_be_checked():
    silent = Giving(lambda *_: None, loses=False)
    with pytest.raises(NetworkError, match=r"gives no tensor by which its .*Fix: --tap hooks"):
        tap(OwnNetwork("mine", silent), ["two"], 16, "graph")
    assert tap(OwnNetwork("mine", silent), ["two"], 16).way.how == "hooks"


def test_pictures_too_small_for_the_network_are_refused():
    with pytest.raises(
        NetworkError,
        match=r"alexnet .*: does not take pictures of 32 px .*Fix: the size it was made",
    ):
        layers_of(read_network("alexnet", untrained=True), 32)


def test_layers_of_any_module_are_listed():
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.ReLU(inplace=True))
    assert layers_of(OwnNetwork("mine", module), 8) == [("0", (2, 6, 6)), ("1", (2, 6, 6))]


class Numbered(torch.nn.Module):
    """Names that end in numbers, hold odd characters, or are those of functions."""

    def __init__(self):
        super().__init__()
        self.conv_1, self.conv_2 = torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 4, 3)
        self.add_module("a[0] (x+*", torch.nn.ReLU())
        self.add = torch.nn.Conv2d(4, 4, 1)

    def forward(self, x):
        odd = getattr(self, "a[0] (x+*")
        return self.add(odd(self.conv_2(odd(self.conv_1(x))) + 1)) + 2


def test_layers_have_the_names_of_their_modules():
    net = Numbered()
    listed = [name for name, _ in layers_of(OwnNetwork("mine", net), 16)]
    odd = "a[0] (x+*"
    assert listed == ["conv_1", odd, "conv_2", "add_1", f"{odd}_1", "add", "add_2"]
    found = tap(OwnNetwork("mine", net), listed, 16).extract(PICTURE)
    one = net.conv_1(PICTURE)
    assert torch.equal(found["conv_1"], one)
    assert torch.equal(found["conv_2"], net.conv_2(one.relu()))
    assert torch.equal(found["add_1"], net.conv_2(one.relu()) + 1)
    assert torch.equal(found["add"], net.add((net.conv_2(one.relu()) + 1).relu()))
    assert torch.equal(found["add_2"], net(PICTURE))


class Transforming(torch.nn.Module):
    """Transforms its input as torchvision's pretrained GoogLeNet does."""

    transform_input = True
    _transform_input = models.GoogLeNet._transform_input

    def __init__(self):
        super().__init__()
        self.one = torch.nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.one(self._transform_input(x))


def test_a_transform_of_the_input_is_kept():
    net = Transforming().eval()
    true = {}
    made = tap(OwnNetwork("mine", net), ["one"], 16).extract(PICTURE)["one"]
    net.one.register_forward_hook(lambda _, __, given: true.update(one=given.clone()))
    net(PICTURE)
    torch.testing.assert_close(made, true["one"], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(made, net.one(PICTURE), rtol=1e-2)


class Unsteady(torch.nn.Module):
    def __init__(self, rule):
        super().__init__()
        self.one, self.norm, self.rule = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), rule

    def train(self, mode=True):
        super().train(mode)
        self.norm.train()
        return self

    def forward(self, x):
        return self.rule(self, self.one(x)) + 0


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (lambda _, x: F.dropout(x, 0.5, training=True), "node 'add' gives other features each"),
        (lambda _, x: x + torch.randn(4, 14, 14), "mine: gives other outputs each time"),
        (lambda _, x: x - x.mean(0), "node 'add' gives other features of a picture if"),
        (lambda net, x: net.norm(x), "node 'add' gives other features of a picture if"),
    ],
)
def test_features_that_depend_on_more_than_the_picture_are_refused(rule, told):
    with pytest.raises(NetworkError, match=rf"{told}.*Fix: "):
        tap(OwnNetwork("mine", Unsteady(rule)), ["add"], 16, "graph")
    # layers before it can be tapped
    if "node" in told:
        tap(OwnNetwork("mine", Unsteady(rule)), ["one"], 16)


def test_a_network_without_layers_is_refused():
    with pytest.raises(NetworkError, match=r"mine: none of its 0 nodes gives features.*Fix"):
        layers_of(OwnNetwork("mine", torch.nn.Identity()), 16)
