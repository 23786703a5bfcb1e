import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from kc.comparison import libraries, networks, of_timm, read_network
from kc.errors import NetworkError

PICTURE = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def weights_of(nets: Path, seed: int = 3) -> dict[str, torch.Tensor]:
    return read_network(f"{nets}:tiny", seed=seed).model.state_dict()


def outputs(network: networks.OwnNetwork) -> torch.Tensor:
    with torch.inference_mode():
        return network.model(PICTURE)


def test_a_function_in_a_file_gives_the_network(nets):
    torch.manual_seed(9)
    state = torch.get_rng_state()
    found = read_network(f"{nets}:tiny", seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert (found.name, found.weights) == ("nets.py:tiny", "as its function made them")
    assert not found.model.training
    assert torch.equal(outputs(found), outputs(read_network(f"{nets}:tiny", seed=1)))
    assert not torch.equal(outputs(found), outputs(read_network(f"{nets}:tiny", seed=2)))


def test_a_torchvision_network_has_as_many_classes_as_its_weights(tmp_path):
    torch.manual_seed(0)
    narrow = models.resnet18(num_classes=7)
    file = tmp_path / "mine.pth"
    torch.save(narrow.state_dict(), file)
    found = read_network("resnet18", file)
    assert found.weights == "mine.pth"
    assert torch.equal(found.model.fc.weight, narrow.fc.weight)
    untrained = read_network("resnet18", seed=4, untrained=True)
    assert untrained.weights == "untrained, seed 4"
    assert untrained.name == "resnet18 (untrained, seed 4)"
    assert untrained.model.fc.out_features == 1000


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": {"state_dict": state}, "best": torch.tensor(0.9)},
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {"model": {f"_orig_mod.module.{name}": v for name, v in state.items()}},
    ],
)
def test_state_dicts_are_found_inside_checkpoints(nets, tmp_path, wrap):
    state = weights_of(nets)
    file = tmp_path / "checkpoint.th"
    torch.save(wrap(state), file)
    found = read_network(f"{nets}:tiny", file)
    assert all(torch.equal(found.model.state_dict()[name], state[name]) for name in state)


def test_safetensors_are_read(nets, tmp_path):
    state = weights_of(nets)
    save_file(state, tmp_path / "w.safetensors")
    found = read_network(f"{nets}:tiny", tmp_path / "w.safetensors")
    assert torch.equal(found.model.conv3.weight, state["conv3.weight"])


def test_a_mismatch_lists_what_is_missing_left_over_and_of_another_shape(nets, tmp_path):
    state = weights_of(nets)
    state["extra.weight"] = torch.ones(2)
    del state["conv2.bias"], state["head.weight"]
    state["conv3.bias"] = torch.ones(9)
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(
        NetworkError,
        match=r"not the weights of this network \(8 tensors\): 2 missing in the file \(conv2\.bias,"
        r" head\.weight\); 1 left over \(extra\.weight\); 1 of another shape \(conv3\.bias \(9,\), "
        r"expected \(4,\)\)\. Fix: name the network",
    ):
        read_network(f"{nets}:tiny", tmp_path / "w.pt")


def test_long_lists_of_a_mismatch_are_cut(nets, tmp_path):
    torch.save({f"w{k}": torch.ones(1) for k in range(9)}, tmp_path / "w.pt")
    with pytest.raises(NetworkError, match=r"9 left over \(w0, w1, w2, w3, w4, w5, and 3 more\)"):
        read_network(f"{nets}:tiny", tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("tyni", r"no function 'tyni' in it; nearest: tiny"),
        ("raising", r"line \d+: raising\(\) raised ValueError: no luck\. Fix"),
        ("number", r"nets\.py:number gives a int, expected an nn\.Module"),
        ("needing", r"needing\(\) raised TypeError: .*'width'"),
    ],
)
def test_functions_that_return_no_network_are_refused(nets, function, told):
    with pytest.raises(NetworkError, match=told):
        read_network(f"{nets}:{function}")


def test_files_without_a_network_are_refused(tmp_path):
    with pytest.raises(NetworkError, match=r"none\.py: no such file; expected path/file\.py:funct"):
        read_network(f"{tmp_path}/none.py:tiny")
    for text, told in (("x = 1 +", "SyntaxError"), ("import sys; sys.exit(3)", "SystemExit: 3")):
        file = tmp_path / "broken.py"
        file.write_text(text)
        with pytest.raises(NetworkError, match=rf"broken\.py: .*the file raised {told}"):
            read_network(f"{file}:tiny")


def test_unknown_names_give_an_error_with_the_nearest_names(monkeypatch):
    with pytest.raises(NetworkError, match=r"'resnet19' is no network of torchvision's or timm's"):
        read_network("resnet19")
    monkeypatch.setattr(libraries, "library", lambda _: None)
    monkeypatch.setattr(of_timm, "library", lambda _: None)
    with pytest.raises(
        NetworkError,
        match=r"'resnet81' is no network of torchvision's, and timm is not installed; nearest: "
        r"resnet1.*, or: pip install timm$",
    ):
        read_network("resnet81")


def test_two_projects_may_have_files_of_the_same_name(tmp_path):
    for folder, width in (("one", 3), ("two", 5)):
        root = tmp_path / folder
        root.mkdir()
        (root / "sizes.py").write_text(f"WIDTH = {width}\n")
        (root / "net.py").write_text(
            "from torch import nn\nfrom sizes import WIDTH\n\n"
            "def net():\n    return nn.Linear(1, WIDTH)\n"
        )
    path = list(sys.path)
    found = [read_network(f"{tmp_path}/{name}/net.py:net") for name in ("one", "two", "one")]
    assert [network.model.out_features for network in found] == [3, 5, 3]
    assert sys.path == path
    assert "sizes" not in sys.modules


def test_weights_of_networks_that_may_transform_their_input_are_refused(tmp_path):
    """A state dict does not show it; a named function states it."""
    about = {"transform_input": True, "aux_logits": False, "num_classes": 7}
    net = models.googlenet(init_weights=False, **about)
    file = tmp_path / "w.pth"
    torch.save(net.state_dict(), file)
    given = ", ".join(f"{name}={value}" for name, value in about.items())
    fix = f"return torchvision.models.googlenet(init_weights=False, {given})"
    with pytest.raises(NetworkError, match=r"w\.pth: weights for the bare name goo.*Fix") as told:
        read_network("googlenet", file)
    assert fix in str(told.value)
    (tmp_path / "mine.py").write_text(f"import torchvision\n\ndef net():\n    {fix}\n")
    found = read_network(f"{tmp_path}/mine.py:net", file)
    assert found.model.transform_input
    assert torch.equal(found.model.fc.weight, net.fc.weight)


def test_a_module_object_in_a_file_is_a_network_and_leftover_weights_are_listed(tmp_path):
    file = tmp_path / "net.py"
    file.write_text("from torch import nn\nnet = nn.DataParallel(nn.Linear(2, 3))\n")
    state = {"net.weight": torch.ones(3, 2), "net.bias": torch.ones(3), "ema": torch.ones(1)}
    torch.save(state, tmp_path / "w.pt")
    found = read_network(f"{file}:net", tmp_path / "w.pt")
    assert found.weights == "w.pt, 1 left over (ema)"
    assert isinstance(found.model, nn.Linear)
    assert found.model.weight.tolist() == [[1, 1]] * 3
