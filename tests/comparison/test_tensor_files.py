"""Features in .pt, .pth and .safetensors: the same numbers, and weights are never features."""

import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from kc.comparison import read_arrays
from kc.errors import FeatureError, NetworkError
from kc.networks.state import read_state
from kc.settings.custom import Pair
from tests.comparison.test_arrays import stored

RNG = np.random.default_rng(1)
X = torch.from_numpy(RNG.normal(size=(40, 6)).astype(np.float32))
MAPS = torch.from_numpy(RNG.normal(size=(40, 2, 3, 3)).astype(np.float32))


def saved(path, content, **how):
    torch.save(content, path, **how)
    return path


def refused(path, told):
    with pytest.raises(FeatureError, match=told):
        read_arrays(str(path))


def test_a_tensor_is_named_by_its_file_and_dicts_by_their_keys(tmp_path):
    one = saved(tmp_path / "one.pt", X)
    old = saved(tmp_path / "old.pth", X, _use_new_zipfile_serialization=False)
    for path in (one, old):
        (values,) = stored(path, tmp_path / path.stem).values()
        np.testing.assert_array_equal(values, X.numpy())
    deep = {"early": {"relu": X, "maps": MAPS}, "labels": torch.arange(40), "epoch": 3}
    several = saved(tmp_path / "several.pt", deep)
    assert {name: layer.shape for name, layer in read_arrays(str(several)).layers.items()} == {
        "early.maps": (2, 3, 3),
        "early.relu": (6,),
    }
    found = stored(f"{several}:early.maps", tmp_path / "deep", memory_gb=1e-9)
    np.testing.assert_array_equal(found["early.maps"], MAPS.numpy())
    save_file({"a": X, "b": MAPS}, tmp_path / "x.safetensors")
    found = stored(tmp_path / "x.safetensors", tmp_path / "safe")
    np.testing.assert_array_equal(found["b"], MAPS.numpy())
    assert list(read_arrays(f"{tmp_path}/x.safetensors:a").layers) == ["a"]


@pytest.mark.parametrize("memory_gb", [4.0, 1e-9])
def test_bfloat16_becomes_float32_and_float16_stays(tmp_path, memory_gb):
    halves = {"b": X.bfloat16(), "h": X.half()}
    save_file(halves, tmp_path / "x.safetensors")
    for path in (saved(tmp_path / "x.pt", halves), tmp_path / "x.safetensors"):
        arrays = read_arrays(str(path)).arrays
        assert [str(arrays[name].dtype) for name in "bh"] == ["float32", "float16"]
        found = stored(path, tmp_path / path.suffix, memory_gb)
        np.testing.assert_array_equal(found["b"], X.bfloat16().float().numpy())
        np.testing.assert_array_equal(found["h"], X.half().float().numpy())


def test_weights_are_not_taken_for_features(tmp_path):
    """Also where all tensors have as many rows, which numbers of rows alone would not show."""
    net = torch.nn.Sequential(torch.nn.Linear(30, 30), torch.nn.Linear(30, 30))
    path = saved(tmp_path / "w.pt", {"state_dict": net.state_dict(), "epoch": 1})
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    for file in (path, tmp_path / "w.safetensors"):
        refused(file, r"looks like the weights of a network.*0\.weight.*network here .*--weights-a")
    assert len(read_arrays(f"{path}:state_dict.0.weight")) == 30
    unequal = saved(tmp_path / "u.pt", {"one": X, "two": X[:7]})
    refused(unequal, r"\(one 40, two 7\)\. Fix: if it holds weights, .*--weights-a or -b; else")
    assert set(read_state(path)) == set(net.state_dict())
    pair = Pair(a="resnet18", b=str(path), weights_a=path)
    assert pair.files() == [path, path]
    with pytest.raises(ValueError, match=r"weights_b '.*w\.pt': '.*w\.pt' is a file of features"):
        Pair(a="resnet18", b=str(path), weights_b=path)
    with pytest.raises(NetworkError, match=r"x\.pt: it has no named tensors, but Tensor"):
        read_state(saved(tmp_path / "x.pt", X))


def test_files_without_tensors_or_with_objects_are_refused(tmp_path):
    refused(saved(tmp_path / "x.pt", [X]), r"x\.pt: it holds a list; expected a tensor, or a dict")
    refused(saved(tmp_path / "x.pt", {"a": 1}), r"x\.pt: no tensor in it, but the keys a\. Fix")
    refused(saved(tmp_path / "x.pt", X > 0), r"'x' is bool of shape .*astype\('float32'\)")
    refused(saved(tmp_path / "x.pt", {"a.b": X, "a": {"b": X}}), r"two of its tensors .*'a\.b'")
    for content in (torch.nn.Linear(2, 2), {"x": np.ones((3, 2))}):
        refused(saved(tmp_path / "x.pt", content), r"not readable as \.pt .*refuses to run")
    (tmp_path / "x.pth").write_bytes(pickle.dumps({"x": [1]}))
    refused(tmp_path / "x.pth", r"x\.pth: no tensor in it|not readable as \.pth")
    circle = {}
    circle["again"] = circle
    refused(saved(tmp_path / "x.pt", circle), r"nested more than 8 deep")
    with torch.device("meta"):
        nothing = torch.zeros(40, 2)
    refused(saved(tmp_path / "x.pt", {"x": nothing}), r"'x' of shape \(40, 2\) has no numbers")
    refused(saved(tmp_path / "x.pt", X[:1].expand(1 << 20, 6)), r"'x' of .* needs 25,165,824 bytes")


def test_damaged_files_of_tensors_are_refused(tmp_path):
    """torch.load itself returns the flipped number."""
    whole = saved(tmp_path / "x.pt", torch.zeros(4000, 4)).read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    (tmp_path / "x.pt").write_bytes(flipped)
    assert torch.load(tmp_path / "x.pt").any()
    refused(tmp_path / "x.pt", r"x\.pt: damaged: its part 'x/data/0' does not match its checksum")
    (tmp_path / "x.pt").write_bytes(whole[:-90])
    refused(tmp_path / "x.pt", r"x\.pt: not readable as \.pt \(.*Fix: torch\.save of a dict")
    save_file({"x": X}, tmp_path / "x.safetensors")
    torn = (tmp_path / "x.safetensors").read_bytes()[:-9]
    (tmp_path / "x.safetensors").write_bytes(torn)
    refused(tmp_path / "x.safetensors", r"not readable as \.safetensors .*another format\. Fix")


def test_ids_of_what_is_no_file_of_features_are_refused():
    with pytest.raises(ValueError, match=r"'resnet18' is no file of features \(\.npy, .*\.parq"):
        Pair(a="resnet18", b="x.pt", ids_a="ids.txt")
