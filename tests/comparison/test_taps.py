"""Taps by graph and by hooks: one name a layer, the same features, the same checks."""

import importlib
import json
import logging
import types

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.fx.proxy import TraceError
from torchvision import models

from kc.comparison import CompareSettings, OwnNetwork, compare, layers_of, read_network
from kc.comparison.layers import listed, tap
from kc.comparison.sides import open_side
from kc.errors import NetworkError
from kc.networks import nodes

PICTURES = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
QUICK = (("resnet18", 32), ("swin_t", 64), ("timm:convnext_atto", 32))
"""With modules called twice, and with maps whose channels come last."""
REST = (
    *(("vgg11_bn", 32), ("googlenet", 64), ("densenet121", 32), ("mobilenet_v3_small", 32)),
    *(("efficientnet_b0", 32), ("convnext_tiny", 32), ("vit_b_32", 224), ("squeezenet1_0", 64)),
    *(("shufflenet_v2_x0_5", 32), ("regnet_y_400mf", 32), ("timm:vit_tiny_patch16_224", 224)),
    *(("timm:swin_tiny_patch4_window7_224", 224), ("timm:resnet10t", 32)),
    *(("timm:poolformer_s12", 32), ("timm:edgenext_xx_small", 64), ("timm:levit_128s", 224)),
    *(("timm:ghostnet_050", 32),),
)


def made(name):
    torch.manual_seed(0)
    if name.startswith("timm:"):
        timm = pytest.importorskip("timm", reason="timm is not installed (kc's extra 'timm')")
        model = timm.create_model(name.removeprefix("timm:"), pretrained=False)
    else:
        about = {"init_weights": False} if name == "googlenet" else {}
        model = models.get_model(name, weights=None, **about)
    return OwnNetwork(name, model.eval(), shared=False)


def names_agree(name, size):
    network = made(name)
    by_graph = {layer.name: layer for layer in listed(network, size, "graph")}
    by_hooks = {layer.name: layer for layer in listed(network, size, "hooks")}
    both = [name for name in by_graph if name in by_hooks]
    modules = dict(network.model.named_modules())
    # every module that is a node is also a layer by hooks
    assert both == [name for name in by_graph if name in modules or name in by_hooks]
    assert len(both) > 20
    assert [by_graph[name] for name in both] == [by_hooks[name] for name in both]
    pictures = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    found = []
    for how in ("graph", "hooks"):
        tapped = tap(network, both, size, how)
        assert tapped.way.how == how
        with torch.inference_mode():
            found.append(tapped.extract(pictures))
    for layer in both:
        assert found[0][layer].shape[1:] == by_graph[layer].shape
        torch.testing.assert_close(found[0][layer], found[1][layer], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "size"), QUICK)
def test_names_and_features_by_graph_and_hooks_agree(name, size):
    names_agree(name, size)


@pytest.mark.long
@pytest.mark.parametrize(("name", "size"), REST)
def test_names_and_features_by_graph_and_hooks_agree_in_other_networks(name, size):
    names_agree(name, size)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.conv(self.relu(x))), x.mean((2, 3))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.block = nn.Conv2d(3, 4, 3, 2, 1), Block()
        self.layer1 = nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU())
        self.unused = nn.Linear(2, 2)

    def forward(self, x):
        x, _ = self.block(self.first(x))
        x, _ = self.block(x)
        return F.relu(self.layer1(x)).mean((2, 3))


class Choosing(Net):
    """Branches on a value, as DINO does on the sizes of its crops."""

    def forward(self, x):
        return super().forward(x if x.sum() > 1e9 else x * 1)


def test_auto_takes_hooks_where_the_network_cannot_be_traced(caplog):
    with caplog.at_level(logging.INFO):
        side = open_side("a", Choosing(), "block_1:0", CompareSettings(size=16))
    assert "Choosing: tapped by hooks, not by its graph: Choosing: torch.fx cannot" in caplog.text
    assert side.note("block_1:0") == (
        "a: Choosing, weights: as the module holds them; layer block_1:0 (4 x 8 x 8); tapped by "
        "hooks: torch.fx cannot trace it."
    )
    assert side.card == {"tap": "hooks"}
    plain = tap(OwnNetwork("mine", Net()), ["block.relu_3"], 16)
    assert plain.way.told == ""
    with torch.inference_mode():
        wanted = plain.extract(PICTURES)["block.relu_3"]
        assert torch.equal(side.source.extract(PICTURES)["block_1:0"], wanted)


def test_auto_takes_hooks_where_the_graph_loses_operations(nets):
    tapped = tap(read_network(f"{nets}:forgetful"), ["forward"], 16)
    assert tapped.way.told == "tapped by hooks: its graph gives other outputs"
    net = read_network(f"{nets}:forgetful").model
    with torch.inference_mode():
        assert torch.equal(tapped.extract(PICTURES)["forward"], net(PICTURES))


def test_layers_by_hooks_are_modules_and_parts_of_their_outputs():
    found = dict(layers_of(OwnNetwork("mine", Net()), 16, "hooks"))
    assert list(found) == [
        *("first", "block.relu", "block.conv", "block.relu_1", "block:0", "block:1"),
        *("block.relu_2", "block.conv_1", "block.relu_3", "block_1:0", "block_1:1"),
        *("layer1.0", "layer1.1", "layer1", "forward"),
    ]
    assert found["block_1:1"] == (4,)
    assert found["forward"] == (6,)


@pytest.mark.parametrize(
    ("wanted", "how", "told"),
    [
        ("layer1", "graph", r"'layer1' is no node of its graph, .*Fix: --tap hooks\."),
        ("block:0", "auto", r"'block:0' is no node of its graph, .*Fix: --tap hooks\."),
        ("layer9", "auto", r"unknown node 'layer9'; nearest: layer1\.\d"),
        ("block", "hooks", r"'block' returns several tensors\. Fix: name one, block:0, block:1\."),
        ("unused", "hooks", r"module 'unused' is not called, so hooks do not see it\. Fix: 'kc la"),
        ("relu", "hooks", r"unknown layer 'relu'; nearest: .* 15 layers, .*Fix: --tap graph, whi"),
        ("layer7", "hooks", r"unknown layer 'layer7'; nearest: layer1.*Fix: 'kc layers' lists all"),
    ],
)
def test_an_unknown_layer_is_refused_with_the_way_that_has_it(wanted, how, told):
    with pytest.raises(NetworkError, match=told):
        tap(OwnNetwork("mine", Net()), [wanted], 16, how)


class Unsteady(nn.Module):
    def __init__(self, rule):
        super().__init__()
        self.one, self.two, self.rule = nn.Conv2d(3, 4, 3), nn.Identity(), rule

    def forward(self, x):
        return self.two(self.rule(self.one(x)))


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (lambda x: F.dropout(x, 0.5, training=True), "layer 'two' gives other features each time"),
        (lambda x: x + torch.randn(4, 14, 14), "layer 'two' gives other features each time"),
        (lambda x: x - x.mean(0), "layer 'two' gives other features of a picture if"),
        (lambda x: x.to(torch.int64), "layer 'two' gives a Tensor of torch.int64, "),
    ],
)
def test_features_by_hooks_depend_on_their_picture_alone(rule, told):
    network = OwnNetwork("mine", Unsteady(rule))
    with pytest.raises(NetworkError, match=rf"mine: {told}.*Fix: "):
        tap(network, ["two"], 16, "hooks")
    tap(network, ["one"], 16, "hooks")


class Adapting(nn.Module):
    """Calls a layer twice for larger batches, or for pictures that the example does not have."""

    def __init__(self, limit=2):
        super().__init__()
        self.one, self.two, self.limit = nn.Conv2d(3, 4, 3), nn.ReLU(), limit

    def forward(self, x):
        is_other = len(x) > self.limit or x.max() > 1e6
        x = self.one(x)
        for _ in range(1 + is_other):
            x = self.two(x)
        return x


def test_calls_are_counted_in_every_batch():
    with pytest.raises(NetworkError, match=r"mine: module 'two' is called 2 times .*Fix: take a m"):
        tap(OwnNetwork("mine", Adapting()), ["two"], 16, "hooks")
    tapped = tap(OwnNetwork("mine", Adapting(9)), ["two", "forward"], 16, "hooks")
    tapped.extract(PICTURES)
    with pytest.raises(NetworkError, match=r"'two' is called 2 times for these pictures, and 1"):
        tapped.extract(1e9 * PICTURES)


CODE = """
import torch
from torch import nn
import parts
class Settings:
    def __init__(self):
        self.limit = 2.5
class Base(nn.Module):
    def squash(self, x):
        return torch.relu(x)
class Net(Base):
    factor = 1.0
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.settings = nn.Conv2d(3, 4, 3, 2, 1), Settings()
        self.two = nn.Conv2d(4, 4, 3)
    @torch.no_grad()
    def forward(self, x):
        if x.sum() > 1e9:
            x = -x
        return self.two(parts.act(self.squash(self.one(x)), self.settings.limit) * self.factor)
    def unused(self):
        return self.forward
def net():
    return Net()
"""
PARTS = """
LIMIT = 1e9
def act(x, most):
    return x.clamp(max=most).clamp(max=LIMIT)
def other(x):
    return x
"""


def digest(folder, code=CODE, parts=PARTS, node="two"):
    (folder / "net.py").write_text(code)
    (folder / "parts.py").write_text(parts)
    importlib.invalidate_caches()
    tapped = tap(read_network(f"{folder}/net.py:net"), [node], 16)
    assert tapped.way.how == "hooks"
    return tapped.digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("torch.relu(x)", "torch.relu(x + 0)"),
        # the example does not show these: no value reaches the limit
        ("x = -x", "x = -2 * x"),
        ("self.limit = 2.5", "self.limit = 1e9"),
        ("LIMIT = 1e9", "LIMIT = 1e8"),
        ("max=LIMIT", "max=LIMIT, min=-1e9"),
        ("factor = 1.0", "factor = 1"),
        ("manual_seed(0)", "manual_seed(1)"),
    ],
)
def test_code_and_attributes_behind_hooks_change_the_digest(tmp_path, old, new):
    before = digest(tmp_path)
    assert digest(tmp_path) == before
    assert digest(tmp_path, node="one") != before
    assert (old in CODE) != (old in PARTS)
    assert digest(tmp_path, CODE.replace(old, new), PARTS.replace(old, new)) != before


def test_comments_and_functions_that_are_not_used_do_not_change_the_digest_by_hooks(tmp_path):
    before = digest(tmp_path)
    code, parts = CODE.replace("import parts", "import parts  # mine\n"), PARTS + "# more\n"
    parts = parts.replace("def other(x):\n    return x", "def other(x):\n    return 2 * x")
    assert digest(tmp_path, code, parts) == before


def test_a_users_hook_changes_the_digest_and_stays():
    net = Net()
    before = tap(OwnNetwork("mine", net), ["layer1"], 16, "hooks").digest
    net.first.register_forward_hook(lambda _, __, given: given.clamp(max=1e9))
    assert tap(OwnNetwork("mine", net), ["layer1"], 16, "hooks").digest != before
    assert len(net.first._forward_hooks) == 1


def test_a_forward_set_on_the_object_is_run():
    net = Net()
    net.forward = types.MethodType(lambda self, x: self.first(x) + 1, net)
    with torch.inference_mode():
        found = tap(OwnNetwork("mine", net), ["forward"], 16).extract(PICTURES)["forward"]
        assert torch.equal(found, net.first(PICTURES) + 1)


class Caching(nn.Module):
    """Keeps what it computes first, also what a trace gives."""

    def __init__(self):
        super().__init__()
        self.one, self.scale, self.all = nn.Conv2d(3, 4, 3), None, []

    def forward(self, x):
        x = self.one(x)
        if self.scale is None:
            self.scale = x.shape[-1]
            self.all.append(x)
        return x / self.scale if x.shape[-1] > 3 else x


def test_a_trace_leaves_nothing_in_the_network():
    net = Caching()
    with pytest.raises(TraceError):
        nodes(net)
    assert net.scale is None
    assert net.all == []
    assert net.training
    tapped = tap(OwnNetwork("mine", net), ["forward"], 16)
    assert tapped.way.how == "hooks"
    with torch.inference_mode():
        assert torch.equal(tapped.extract(PICTURES)["forward"], net(PICTURES))


class Former(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.cut = nn.Conv2d(3, 16, 8, 8)
        self.two = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)

    def forward(self, x):
        return self.two(self.cut(x).flatten(2).transpose(1, 2))


def test_torchs_transformer_is_tapped_inside_and_gives_one_output_in_both_ways():
    fast = torch.backends.mha.get_fastpath_enabled()
    network = OwnNetwork("mine", Former())
    names = [name for name, _ in layers_of(network, 16, "hooks")]
    assert {"two.self_attn:0", "two.linear1", "two.norm2", "two"} <= set(names)
    found = [tap(network, ["two"], 16, how).extract(PICTURES)["two"] for how in ("graph", "hooks")]
    assert torch.equal(*found)
    assert torch.backends.mha.get_fastpath_enabled() == fast


FILE = """
import torch
from torch import nn
class Timed(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3)
    def forward(self, x, step):
        return self.two(self.one(x) * step)
STEP = 3.0
def call(network, pictures):
    return network(pictures, STEP)
def timed():
    return Timed(), call
def bare():
    return Timed()
def wrong():
    return Timed(), Timed()
"""


def test_a_function_may_run_the_network(tmp_path):
    file = tmp_path / "timed.py"
    file.write_text(FILE)
    network = read_network(f"{file}:timed")
    assert [name for name, _ in layers_of(network, 16)] == ["one", "two", "forward"]
    tapped = tap(network, ["two"], 16)
    assert tapped.way.told == "tapped by hooks: a function runs it"
    with torch.inference_mode():
        found = tapped.extract(PICTURES)["two"]
        assert torch.equal(found, network.model(PICTURES, 3.0))
    with pytest.raises(NetworkError, match=r"a function of yours runs it, .*Fix: --tap hooks\."):
        tap(network, ["two"], 16, "graph")
    with pytest.raises(NetworkError, match=r"needs x, step; .*Fix: let a function in FILE\.py ret"):
        layers_of(read_network(f"{file}:bare"), 16)
    with pytest.raises(NetworkError, match=r"gives a tuple, .*Fix: return the network alone, or "):
        read_network(f"{file}:wrong")
    file.write_text(FILE.replace("STEP = 3.0", "STEP = 2.0"))
    assert tap(read_network(f"{file}:timed"), ["two"], 16).digest != tapped.digest


def test_the_record_says_which_way_was_taken(photos, tmp_path):
    settings = CompareSettings.model_validate(
        {"size": 16, "tap": "hooks", "consistency": {"optimiser": {"epochs": 1}}, "ladder": False}
    )
    found = compare(Net(), Choosing(), "layer1", "layer1", photos, tmp_path / "out", settings)
    assert [side["tap"] for side in found.provenance["networks"].values()] == ["hooks", "hooks"]
    assert json.loads(json.dumps(found.provenance["settings"]))["tap"] == "hooks"
    assert "layer layer1 (6 x 6 x 6); tapped by hooks." in " ".join(found.notes)
    test = found.shares[found.shares["subset"] == "test"]
    assert test["xdelta"].max() < 0.2  # both have the same weights


def test_a_detector_is_tapped_by_hooks():
    """Its forward takes a list of pictures, and a batch as one."""
    detector = models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, min_size=32, max_size=32
    )
    tapped = tap(OwnNetwork("detector", detector), ["backbone.body.6"], 32)
    assert tapped.way.how == "hooks"
    pictures = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = tapped.extract(pictures)["backbone.body.6"]
    inner = tap(OwnNetwork("body", detector.backbone), ["body.6"], 32, "hooks")
    assert inner.layers["body.6"].shape == tapped.layers["backbone.body.6"].shape
    assert found.shape[1:] == inner.layers["body.6"].shape
    with pytest.raises(NetworkError, match=r"detector: torch\.fx cannot trace it.*Fix: --tap hook"):
        tap(OwnNetwork("detector", detector), ["backbone.body.6"], 32, "graph")


class Listing(nn.Module):
    """Takes only a list of pictures."""

    def __init__(self):
        super().__init__()
        self.backbone = Net()

    def forward(self, pictures: list):
        assert isinstance(pictures, list), "expected a list"
        return [self.backbone(picture[None]) for picture in pictures]


def test_a_network_that_takes_lists_is_refused_with_a_fix_that_works():
    with pytest.raises(NetworkError, match=r"takes no pictures.*expected a list.*return \(networ"):
        layers_of(OwnNetwork("mine", Listing()), 16)
    fixed = OwnNetwork("mine", Listing(), run=lambda model, pictures: model.backbone(pictures))
    assert tap(fixed, ["backbone.layer1"], 16).layers["backbone.layer1"].shape == (6, 6, 6)
