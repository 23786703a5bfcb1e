"""Maps (y, x, channels) are recognised where the network tells, or read as the user says."""

import pytest
import torch
from torch import nn
from torchvision import models
from typer.testing import CliRunner

from kc.cli.main import app
from kc.comparison import CompareSettings, OwnNetwork, compare, compare_layers, layers_of
from kc.comparison.layers import listed, tap
from kc.comparison.sides import open_side
from kc.errors import FeatureError
from kc.store import open_store

PICTURES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
SETTINGS = CompareSettings.model_validate(
    {
        **{"size": 16, "ladder": False},
        "consistency": {"kernel_size": 1, "optimiser": {"epochs": 2}},
        "activations": {"dtype": "float32"},
    }
)


class Last(nn.Module):
    """Works on (y, x, channels) from its permute on."""

    def __init__(self, width=6, works=True):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, width, 4, 4)
        self.norm = nn.LayerNorm(width) if works else nn.Identity()
        self.act = nn.Identity()

    def forward(self, x):
        x = self.conv(x).permute(0, 2, 3, 1)
        return self.act(self.norm(x)).mul(2)


def read(network, size=16, how="graph"):
    return {layer.name: layer.read for layer in listed(network, size, how)}


@pytest.mark.parametrize("how", ["graph", "hooks"])
def test_a_module_on_the_last_axis_tells_the_layout_of_the_network(how):
    found = read(OwnNetwork("mine", Last()), how=how)
    assert found.pop("conv") == "nchw"
    assert set(found.values()) == {"nhwc"}
    assert {"norm", "act"} <= set(found)


def test_features_are_brought_to_channels_first():
    network = OwnNetwork("mine", Last())
    found = tap(network, ["conv", "permute", "mul"], 16)
    assert {name: layer.shape for name, layer in found.layers.items()} == dict.fromkeys(
        ["conv", "permute", "mul"], (6, 4, 4)
    )
    with torch.inference_mode():
        features = found.extract(PICTURES)
        assert torch.equal(features["permute"], features["conv"])
        assert torch.equal(features["mul"], network.model(PICTURES).permute(0, 3, 1, 2))
    assert dict(layers_of(network, 16))["mul"] == (6, 4, 4)


def test_a_shape_alone_is_refused_until_the_layout_is_said(caplog):
    network = OwnNetwork("mine", Last(works=False))
    with pytest.raises(FeatureError, match=r"'mul' is 4 x 4 x 6, .*Fix: --layout-b nhwc if it is"):
        open_side("b", network, "mul", SETTINGS)
    # 'conv' is known, and without an error
    side = open_side("b", network, "all", SETTINGS)
    assert list(side.layers) == ["conv"]
    assert "mine: 2 layers left out, whose maps may have their channels last" in caplog.text
    said = {layout: OwnNetwork("mine", network.model, layout=layout) for layout in ("nchw", "nhwc")}
    side = open_side("b", said["nhwc"], "mul", SETTINGS)
    assert side.layers["mul"].shape == (6, 4, 4)
    assert "layer mul (6 x 4 x 4); read as (y, x, channels)." in side.note("mul")
    other = open_side("b", said["nchw"], "mul", SETTINGS)
    assert other.layers["mul"].shape == (4, 4, 6)
    assert other.source.digest != side.source.digest


def test_equal_sides_are_unclear_where_a_network_works_channels_last():
    found = read(OwnNetwork("mine", Last(4)))
    assert found["conv"] == "nchw"
    assert found["norm"] == "nhwc"
    assert {found["permute"], found["mul"]} == {"unclear"}
    # and no question elsewhere
    assert set(read(OwnNetwork("mine", Last(4, works=False))).values()) == {"nchw"}


class Norm2d(nn.LayerNorm):
    """Normalises channels that come first, as torchvision's and timm's LayerNorm2d."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class First(Norm2d):
    """Has no 2d in its name, as transformers' ConvNextLayerNorm."""


@pytest.mark.parametrize("kind", [Norm2d, First])
@pytest.mark.parametrize("width", [4, 6])
def test_norms_of_channels_that_come_first_are_not_taken_for_others(kind, width):
    network = OwnNetwork("mine", nn.Sequential(nn.Conv2d(3, width, 4, 4), kind(width)))
    assert read(network, how="hooks") == {"0": "nchw", "1": "nchw", "forward": "nchw"}


def test_layouts_of_torchvision_and_timm():
    swin = read(OwnNetwork("swin", models.swin_t(weights=None)), 64)
    assert swin["features.0.0"] == "nchw"
    assert {swin[name] for name in ("features.0.1", "features.1.0.add", "features.7.1.add_1")} == {
        "nhwc"
    }
    assert "unclear" not in swin.values()
    convnext = read(OwnNetwork("convnext", models.convnext_tiny(weights=None)), 64)
    assert convnext["features.1.0.block.0"] == "nchw"
    assert convnext["features.1.0.block.3"] == "nhwc"
    assert convnext["features.1.0.add"] == "nchw"
    timm = pytest.importorskip("timm", reason="timm is not installed (kc's extra 'timm')")
    model = timm.create_model("swin_tiny_patch4_window7_224", pretrained=False)
    blocks = read(OwnNetwork("swin", model), 224, "hooks")
    assert blocks["patch_embed.proj"] == "nchw"
    assert blocks["layers.2.blocks.0"] == blocks["norm"] == "nhwc"


def test_a_matrix_of_all_layers_stores_channels_first(photos, tmp_path):
    model = Last()
    found = compare_layers(model, model, "all", "norm", photos, tmp_path / "out", SETTINGS)
    # the permute repeats the convolution
    assert found.table["layer_a"].tolist() == ["conv", "norm", "mul"]
    assert "a: Last, as the module holds them; 3 layers; 2 read as (y, x, channels)." in found.notes
    store = open_store(tmp_path / "out" / "activations" / "a.zarr")
    assert store["norm"].shape[1:] == (6, 4, 4)


def test_a_map_and_its_permutation_are_the_same_layer(photos, tmp_path):
    model = Last()
    found = compare(model, model, "conv", "permute", photos, tmp_path / "out", SETTINGS)
    assert found.shares["xdelta"].max() < 0.001


def listing(file, *more):
    found = CliRunner().invoke(app, ["layers", file, "--size", "16", *more])
    assert found.exit_code == 0, found.output
    return found.output.splitlines()


def test_the_list_of_layers_shows_the_shapes_that_are_stored(tmp_path):
    file = tmp_path / "net.py"
    file.write_text(
        "import torch\nfrom torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, works):\n        super().__init__()\n"
        "        self.one = nn.Conv2d(3, 6, 4, 4)\n"
        "        self.two = nn.Sequential(nn.Linear(6, 5) if works else nn.ReLU())\n"
        "    def forward(self, x):\n"
        "        return self.two(self.one(x).permute(0, 2, 3, 1))\n"
        "def net():\n    return Net(True)\ndef other():\n    return Net(False)\n"
    )
    last = "  read as (y, x, channels)"
    assert listing(f"{file}:net") == [
        "one  6 x 4 x 4", f"permute  6 x 4 x 4{last}", f"two.0  5 x 4 x 4{last}"
    ]  # fmt: skip
    assert listing(f"{file}:net", "--tap", "hooks")[1:] == [
        f"{name}  5 x 4 x 4{last}" for name in ("two.0", "two", "forward")
    ]
    unclear = "  (y, x, channels)? Fix: --layout nhwc or nchw"
    assert f"two.0  4 x 4 x 6{unclear}" in listing(f"{file}:other")
    assert f"two.0  6 x 4 x 4{last}" in listing(f"{file}:other", "--layout", "nhwc")
    assert "two.0  4 x 4 x 6" in listing(f"{file}:other", "--layout", "nchw")
    wrong = CliRunner().invoke(app, ["layers", f"{file}:net", "--tap", "fx"])
    assert wrong.exit_code == 2
    assert "'fx' is not one of 'auto', 'graph', 'hooks'" in wrong.output
