from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kc.errors import NetworkError
from kc.networks import build
from kc.networks.pretrained import load_pretrained, weights_file
from kc.settings.recipes import Network


@pytest.fixture
def given(tmp_path):
    """Return a file of weights of a ResNet-18 with 7 classes."""
    file = tmp_path / "resnet18.pth"
    torch.save(build("resnet18", 7, Network(), seed=1).state_dict(), file)
    return file


def test_all_but_the_last_layer_is_loaded(given):
    model, other = build("resnet18", 3, Network(), seed=0), build("resnet18", 7, Network(), seed=1)
    before = model.fc.weight.clone()
    assert load_pretrained(model, "resnet18", given) == ["fc.weight", "fc.bias"]
    assert torch.equal(model.fc.weight, before)
    own, theirs = model.state_dict(), other.state_dict()
    assert all(torch.equal(own[name], theirs[name]) for name in own if not name.startswith("fc."))


def test_safetensors_are_loaded_too(given, tmp_path):
    save_file(torch.load(given, weights_only=True), tmp_path / "w.safetensors")
    model = build("resnet18", 3, Network(), seed=0)
    load_pretrained(model, "resnet18", tmp_path / "w.safetensors")
    assert torch.equal(model.conv1.weight, build("resnet18", 7, Network(), seed=1).conv1.weight)


def test_weights_of_another_width_are_refused(given):
    model = build("resnet18", 3, Network(width=0.5), seed=0)
    with pytest.raises(NetworkError, match=r"another shape \(conv1\.weight.*width 1"):
        load_pretrained(model, "resnet18", given)


def test_weights_of_another_network_name_what_is_missing_and_left_over(given):
    model = build("resnet34", 3, Network(), seed=0)
    with pytest.raises(
        NetworkError,
        match=r" missing in the file \(layer1\.2\..* weights of resnet34",
    ):
        load_pretrained(model, "resnet34", given)


@pytest.mark.parametrize("content", ["not weights", ["a list"]])
def test_a_file_without_a_state_dict_is_refused(tmp_path, content):
    file = tmp_path / "w.pth"
    if isinstance(content, str):
        file.write_text(content)
    else:
        torch.save(content, file)
    with pytest.raises(NetworkError, match=r"w\.pth"):
        load_pretrained(build("resnet18", 3, Network(), seed=0), "resnet18", file)


def test_code_in_a_file_of_weights_is_not_run(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"w": Harmful()}, tmp_path / "w.pth")
    with pytest.raises(NetworkError, match="not readable as weights"):
        load_pretrained(build("resnet18", 3, Network(), seed=0), "resnet18", tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


def test_imagenet_weights_are_looked_for_in_torchs_cache_only(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(NetworkError, match=r"download https://.*resnet18.* into that folder"):
        weights_file("resnet18", "imagenet")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "resnet18-f37072fd.pth").touch()
    assert weights_file("resnet18", "imagenet").name == "resnet18-f37072fd.pth"


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(NetworkError, match=r"networks\.resnet18\.weights: no file"):
        weights_file("resnet18", str(tmp_path / "none.pth"))


def test_only_networks_that_start_from_weights_load_them():
    assert Network().started("scratch").weights is None
    assert Network(weights="w.pth").started("scratch") == Network()
    assert Network().started("pretrained").weights == "imagenet"
    assert Network(weights="w.pth").started("pretrained").weights == "w.pth"
