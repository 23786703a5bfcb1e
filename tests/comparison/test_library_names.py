"""Names of libraries: weights come from their caches; names without weights are refused."""

import json
import os
from pathlib import Path
from urllib.error import URLError

import pytest
import timm
import torch
from torchvision import models

from kc.comparison import CompareSettings, layers_of, loading, outline, read_network
from kc.comparison.make import make
from kc.errors import NetworkError
from kc.settings.custom import Pair
from kc.settings.reconstruction import Consistency, Optimiser
from tests.comparison.noise import write

NAME = "shufflenet_v2_x0_5"
SPEC = f"torchvision:{NAME}/IMAGENET1K_V1"


@pytest.fixture(autouse=True)
def _empty_caches(tmp_path, monkeypatch):
    """No network, and caches of the libraries that hold nothing."""

    def unreached(*_: object, **__: object) -> None:
        raise URLError("no network")

    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(loading, "urlopen", unreached)
    monkeypatch.setattr("urllib.request.urlopen", unreached)


def cached(folder: Path, seed: int = 5) -> dict[str, torch.Tensor]:
    """Write weights where torchvision looks for them."""
    torch.manual_seed(seed)
    state = models.get_model(NAME).state_dict()
    url = models.get_model_weights(NAME)["DEFAULT"].url
    file = folder / "torch/hub/checkpoints" / url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.save(state, file)
    return state


def test_torchvisions_weights_are_read_from_its_cache_with_their_preparation(tmp_path):
    state = cached(tmp_path)
    found = read_network(SPEC)
    assert torch.equal(found.model.fc.weight, state["fc.weight"])
    assert (found.name, found.weights) == (SPEC, "IMAGENET1K_V1 of torchvision")
    assert (found.prepared.size, found.prepared.resize, found.prepared.aspect) == (224, 256, "keep")
    assert found.files[0].is_file()
    assert read_network(f"{NAME}/DEFAULT").weights == found.weights
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_weights_that_hold_other_objects_are_not_run(tmp_path):
    cached(tmp_path)
    file = next((tmp_path / "torch/hub/checkpoints").iterdir())
    torch.save({"fc.weight": Path("/")}, file)
    with pytest.raises(NetworkError, match=r"could not be loaded \(UnpicklingError: Weights only"):
        read_network(SPEC)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (SPEC, r"shufflenetv2_x0\.5-\w+\.pth was looked for in .*/torch/hub/checkpoints\. Fix: "
         r"download https://download\.pytorch\.org/models/shuffle"),
        ("timm:test_resnet.r160_in1k", r"model\.safetensors or pytorch_model\.bin of https://hugg"
         r"ingface\.co/timm/test_resnet\.r160_in1k was looked for in .*/hf/models--timm--test_res"
         r".*Fix: where there is a network, hf download timm/test_resnet\.r160_in1k, and copy"),
        ("hf:facebook/dinov2-small", r"config\.json or model\.safetensors or .* was looked for in "
         r".*/hf/models--facebook--dinov2-small"),
        ("hf:./nowhere", r"There is no folder \./nowhere"),
    ],
)  # fmt: skip
def test_weights_that_are_not_there_are_named_with_their_place(spec, told):
    with pytest.raises(NetworkError, match=told):
        read_network(spec)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("resnet18", r"^resnet18: names no weights, .*Fix: torchvision:resnet18/IMAGENET1K_V1 or "
         r"torchvision:resnet18/DEFAULT; weights of yours, --weights-a FILE .*, --untrained \("),
        ("timm:test_resnet", r"Fix: timm:test_resnet\.r160_in1k; weights of yours"),
        ("test_resnet", r"Fix: timm:test_resnet\.r160_in1k; weights of yours"),
        ("resnet18/V9", r"torchvision has no weights 'V9'; expected one of IMAGENET1K_V1, DEFAULT"),
        ("test_resnet.v9", r"timm has no weights 'v9'; expected one of r160_in1k\. Fix: timm:test"),
        ("timm:nothing", r"'timm:nothing' is no network of torchvision's or timm's"),
        ("torchvision:test_resnet", r"'torchvision:test_resnet' is no network"),
        ("hub:owner/repository:entry", r"runs the code of owner/repository .*Fix: read that code, "
         r"then --remote-code"),
        ("hub:nothing", r"expected hub:OWNER/REPOSITORY\[:REF\]:ENTRY"),
    ],
)  # fmt: skip
def test_names_without_weights_are_refused_with_what_there_is(spec, told):
    with pytest.raises(NetworkError, match=told):
        read_network(spec)


def test_weights_are_named_once(tmp_path):
    torch.save(models.get_model(NAME).state_dict(), tmp_path / "w.pt")
    with pytest.raises(NetworkError, match=rf"names weights, and so does .*w\.pt\. .*:{NAME}$"):
        read_network(SPEC, tmp_path / "w.pt")


def test_an_untrained_network_has_its_seed_in_its_name():
    one, other = (read_network("timm:test_resnet", seed=seed, untrained=True) for seed in (0, 1))
    assert one.name == "timm:test_resnet (untrained, seed 0)"
    assert one.prepared is None
    assert not torch.equal(one.model.conv1[0].weight, other.model.conv1[0].weight)


def test_timms_weights_are_read_from_a_folder_with_their_preparation(tmp_path):
    made = timm.create_model("test_resnet", pretrained=False, num_classes=7)
    timm.models.save_for_hf(made, tmp_path / "mine", safe_serialization=True)
    found = read_network(f"timm:local-dir:{tmp_path / 'mine'}")
    assert torch.equal(found.model.state_dict()["fc.weight"], made.state_dict()["fc.weight"])
    assert (found.prepared.size, found.prepared.interpolation) == (160, "bilinear")


def test_timms_weights_are_read_from_the_cache_of_hugging_face(tmp_path):
    made = timm.create_model("test_resnet", pretrained=False)
    folder = tmp_path / "hf/models--timm--test_resnet.r160_in1k"
    timm.models.save_for_hf(made, folder / "snapshots/abc", safe_serialization=True)
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text("abc")
    found = read_network("test_resnet.r160_in1k")
    assert torch.equal(found.model.state_dict()["fc.weight"], made.state_dict()["fc.weight"])
    assert found.weights == "r160_in1k of timm"
    assert found.files == (folder / "snapshots/abc/model.safetensors",)


def test_a_fixed_grid_of_tokens_is_made_for_the_size_that_is_asked_for():
    found = outline("timm:vit_tiny_patch16_224.augreg_in21k", size=64)
    assert dict(layers_of(found, 64))["blocks.0.add"] == (17, 192)


def test_layers_are_listed_without_loading_weights():
    assert dict(layers_of(outline(SPEC), 64))["conv1.0"] == (24, 32, 32)
    assert outline(SPEC).prepared.size == 224


def vit(folder: Path, **about: object) -> None:
    """Save a small transformer, and how its pictures are prepared, as save_pretrained does."""
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        image_size=32, patch_size=8,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.ViTModel(config).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    transformers.ViTImageProcessor(size=size, **about).save_pretrained(folder)


def test_a_folder_of_save_pretrained_is_read_with_its_preparation(tmp_path):
    vit(tmp_path / "vit", image_mean=[0.4] * 3, image_std=[0.2] * 3)
    found = read_network(f"hf:{tmp_path / 'vit'}")
    assert type(found.model).__name__ == "ViTModel"
    assert found.prepared.mean == pytest.approx((0.4, 0.4, 0.4))
    assert (found.prepared.size, found.prepared.aspect) == (32, "squash")
    assert found.files == (tmp_path / "vit",)


def test_a_folder_that_does_not_say_how_it_is_fed_needs_to_be_told(tmp_path, monkeypatch):
    vit(tmp_path / "vit")
    (tmp_path / "vit/preprocessor_config.json").unlink()
    write(tmp_path / "photos", *(f"{k:02d}.png" for k in range(60)))
    monkeypatch.chdir(tmp_path)
    about = {"a": "hf:vit", "b": "timm:test_resnet", "untrained": True, "images": "photos"}
    layers = {"layer_a": "layernorm", "layer_b": "layer1.0.add"}
    with pytest.raises(
        NetworkError, match=r"hf:vit: nothing says how its pictures are prepared .*Fix: --size-a, "
        r"--mean-a, --std-a, as it was trained with",
    ):  # fmt: skip
        make(Pair.model_validate(about | layers), CompareSettings(), tmp_path / "out")


def test_of_a_network_for_texts_too_the_part_for_pictures_is_taken(tmp_path):
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config=small | {"intermediate_size": 32, "vocab_size": 99},
        vision_config=small | {"intermediate_size": 32, "image_size": 32, "patch_size": 8},
    )
    transformers.CLIPModel(config).save_pretrained(tmp_path / "clip")
    size = {"shortest_edge": 32}
    transformers.CLIPImageProcessor(
        size=size, crop_size={"height": 32, "width": 32}
    ).save_pretrained(tmp_path / "clip")
    found = read_network(f"hf:{tmp_path / 'clip'}")
    assert found.name == f"hf:{tmp_path / 'clip'}:vision_model"
    assert found.prepared.aspect == "keep"


HUBCONF = """
from torch import nn
dependencies = ["torch"]
def small():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
def number():
    return 3
"""


def test_a_repository_of_torch_hub_is_read_from_its_cache_where_it_may_run(tmp_path):
    folder = tmp_path / "torch/hub/owner_repository_v1"
    folder.mkdir(parents=True)
    (folder / "hubconf.py").write_text(HUBCONF)
    found = read_network("hub:owner/repository:v1:small", remote_code=True)
    assert dict(layers_of(found, 16))["0"] == (4, 14, 14)
    assert read_network(f"hub:{folder}:small", remote_code=True).weights == "as small made them"
    with pytest.raises(NetworkError, match=r"gives a int, expected an nn\.Module"):
        read_network(f"hub:{folder}:number", remote_code=True)
    with pytest.raises(NetworkError, match=r"not be loaded .*Code is looked for in .*/torch/hub"):
        read_network("hub:owner/other:v1:small", remote_code=True)


def test_a_transformer_of_each_library_is_compared_each_fed_as_it_was_trained(
    tmp_path, monkeypatch
):
    vit(tmp_path / "vit", image_mean=[0.4] * 3, image_std=[0.2] * 3)
    made = timm.create_model("test_vit", pretrained=False)
    timm.models.save_for_hf(made, tmp_path / "timm-vit", safe_serialization=True)
    write(tmp_path / "photos", *(f"{k:02d}.png" for k in range(60)))
    monkeypatch.chdir(tmp_path)
    pair = Pair.model_validate(
        {"a": "hf:vit", "b": "timm:local-dir:timm-vit", "images": "photos", "ladder": False}
        | {"layer_a": "layers.1", "layer_b": "blocks.1", "prepare_b": {"size": 80}}
    )
    quick = Consistency(order=0, optimiser=Optimiser(epochs=2))
    told = []
    settings = CompareSettings.of(pair, consistency=quick)
    make(pair, settings, tmp_path / "out", say=told.append)
    assert told[0].startswith("a: hf:vit, weights: as saved there; pictures: both sides resized to")
    assert "(0.4, 0.4, 0.4), over (0.2, 0.2, 0.2)" in told[0]
    assert "cut at the centre to 80 px" in told[1]
    assert {path.stem for path in (tmp_path / "out").glob("*.zarr")} == {"pictures-a", "pictures-b"}
    about = json.loads((tmp_path / "out/tables/compare.json").read_text())["networks"]
    assert about["a"]["preparation"]["mean"] == [0.4] * 3
    assert about["b"]["preparation"]["size"] == 80
    notes = (tmp_path / "out/tables/compare.md").read_text()
    assert "a: hf:vit" in notes
    assert "hooks" in notes
