"""State dicts: read by one function, put into networks by another."""

from pathlib import Path

import pytest
import torch
from torch import nn

from kc.errors import NetworkError
from kc.networks.state import read_state
from kc.networks.weights import load_into


def test_a_prefix_of_the_networks_own_stays():
    inner = nn.Sequential()
    inner.add_module("module", nn.Linear(2, 2))
    load_into(inner, {name: value + 1 for name, value in inner.state_dict().items()}, Path("w"))


def test_old_batch_norms_that_did_not_count_are_taken():
    state = nn.BatchNorm2d(3).state_dict()
    model = nn.Sequential(nn.BatchNorm2d(3))
    found = {f"0.{name}": value + 1 for name, value in state.items() if "num" not in name}
    load_into(model, found, Path("w"))
    assert model[0].weight.tolist() == [2, 2, 2]


def test_an_empty_state_dict_is_a_mismatch_too():
    with pytest.raises(
        NetworkError, match=r"w: not .*: 2 missing in the file \(weight, bias\)\. C"
    ):
        load_into(nn.Linear(2, 2), {}, Path("w"))


class Anything:
    pass


def test_weights_that_cannot_be_read(tmp_path):
    missing = tmp_path / "none.pt"
    with pytest.raises(NetworkError, match=r"none\.pt: no such file; expected weights \(\.pt"):
        read_state(missing)
    pickled = tmp_path / "pickled.pt"
    torch.save({"model": Anything()}, pickled)
    with pytest.raises(NetworkError, match=r"pickled\.pt: not readable as weights \(Unpickling"):
        read_state(pickled)
    for name in ("torn.pt", "torn.safetensors"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 torn")
        with pytest.raises(NetworkError, match=rf"{name}: not readable .* refuses to run\. Cure"):
            read_state(tmp_path / name)
    empty = tmp_path / "empty.pt"
    torch.save({"epoch": 3, "optimizer": {}}, empty)
    with pytest.raises(NetworkError, match=r"no tensors by name in it, but the keys epoch, optim"):
        read_state(empty)
    torch.save(torch.ones(3), empty)
    with pytest.raises(NetworkError, match=r"no tensors by name in it, but Tensor\. Cure: save"):
        read_state(empty)


def test_what_is_to_stay_fresh_stays_whatever_the_file_holds():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3))
    kept = model[1].weight.clone()
    other = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 5)).state_dict()
    fresh = ["1.weight", "1.bias"]
    load_into(model, other, Path("w"), fresh)
    assert torch.equal(model[0].weight, other["0.weight"])
    assert torch.equal(model[1].weight, kept)
    load_into(model, {n: v for n, v in other.items() if n not in fresh}, Path("w"), fresh)
    with pytest.raises(NetworkError, match=r"1 missing in the file \(0\.bias\)\. Cure: mend it"):
        load_into(model, {"0.weight": other["0.weight"]}, Path("w"), fresh, "mend it")
