"""Reading of state dicts, and loading them into networks."""

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_model
from torch import nn

from kc.errors import NetworkError
from kc.networks.state import read_state
from kc.networks.weights import load_into


def test_a_prefix_of_the_networks_own_stays():
    inner = nn.Sequential()
    inner.add_module("module", nn.Linear(2, 2))
    load_into(inner, {name: value + 1 for name, value in inner.state_dict().items()}, Path("w"))


def test_old_batch_norms_without_counters_are_loaded():
    state = nn.BatchNorm2d(3).state_dict()
    model = nn.Sequential(nn.BatchNorm2d(3))
    found = {f"0.{name}": value + 1 for name, value in state.items() if "num" not in name}
    load_into(model, found, Path("w"))
    assert model[0].weight.tolist() == [2, 2, 2]


def test_an_empty_state_dict_is_a_mismatch_too():
    with pytest.raises(
        NetworkError, match=r"w: not .*: 2 missing in the file \(weight, bias\)\. Fix"
    ):
        load_into(nn.Linear(2, 2), {}, Path("w"))


class Anything:
    pass


def test_unreadable_weights_are_refused(tmp_path):
    missing = tmp_path / "none.pt"
    with pytest.raises(NetworkError, match=r"none\.pt: no such file; expected weights \(\.pt"):
        read_state(missing)
    pickled = tmp_path / "pickled.pt"
    torch.save({"model": Anything()}, pickled)
    with pytest.raises(
        NetworkError, match=r"pickled\.pt: not readable as weights \(Unpickling"
    ) as told:
        read_state(pickled)
    assert "\x1b" not in str(told.value)
    for name in ("torn.pt", "torn.safetensors"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 torn")
        with pytest.raises(NetworkError, match=rf"{name}: not readable .* refuses to run\. Fix"):
            read_state(tmp_path / name)
    empty = tmp_path / "empty.pt"
    torch.save({"epoch": 3, "optimizer": {}}, empty)
    with pytest.raises(NetworkError, match=r"it has no named tensors, but the keys epoch, optim"):
        read_state(empty)
    torch.save(torch.ones(3), empty)
    with pytest.raises(NetworkError, match=r"it has no named tensors, but Tensor\. Fix: save"):
        read_state(empty)


def test_fresh_tensors_are_not_loaded():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3))
    kept = model[1].weight.clone()
    other = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 5)).state_dict()
    fresh = ["1.weight", "1.bias"]
    load_into(model, other, Path("w"), fresh)
    assert torch.equal(model[0].weight, other["0.weight"])
    assert torch.equal(model[1].weight, kept)
    load_into(model, {n: v for n, v in other.items() if n not in fresh}, Path("w"), fresh)
    with pytest.raises(NetworkError, match=r"1 missing in the file \(0\.bias\)\. Fix: mend it"):
        load_into(model, {"0.weight": other["0.weight"]}, Path("w"), fresh, "mend it")


def small(tied=False):
    torch.manual_seed(3)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1))
    if tied:
        model.append(nn.Conv2d(4, 4, 1))
        model[3].weight = model[2].weight
    return model


def changed(model):
    return {
        name: value + 1 if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }


@pytest.mark.parametrize(
    "prefix",
    [
        "net.",
        "backbone.",
        "a.b.encoder.",
        "model._orig_mod.",
        "module.",
        "model.",
        "encoder_q.",
        "student.backbone.",
    ],
)
def test_one_prefix_of_any_name_is_removed(prefix, caplog):
    model, state = small(), changed(small())
    kept = {f"{prefix}{name}": value for name, value in state.items()}
    extra = {"criterion.weight": torch.ones(3), "n_averaged": torch.tensor(4)}
    assert load_into(model, kept | extra, Path("w")) == "2 left over (criterion.weight, n_averaged)"
    assert "w: 2 left over, not used (criterion.weight, n_averaged)" in caplog.text
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "module.", "student.backbone.", "trunk."])
def test_a_prefix_of_the_network_is_added(prefix):
    inner = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    outer = nn.Sequential(OrderedDict(trunk=nn.Sequential(OrderedDict(net=inner))))
    state = {f"{prefix}{name}": value + 1 for name, value in inner.state_dict().items()}
    told = load_into(outer, state | {"loss.weight": torch.ones(2)}, Path("w"))
    assert told == "1 left over (loss.weight)"
    assert torch.equal(inner[0].weight, state[f"{prefix}0.weight"])


def test_wrappers_within_names_are_left_out():
    model, state = small(), changed(small())
    kept = {name.replace("0.", "0.module.", 1): value for name, value in state.items()}
    assert load_into(model, kept, Path("w")) == ""
    assert torch.equal(model[0].weight, state["0.weight"])


def test_the_same_network_twice_is_refused_unless_it_is_the_same():
    state = changed(small())
    twice = {f"{p}{n}": v * k for k, p in ((1, "model."), (2, "ema.")) for n, v in state.items()}
    with pytest.raises(
        NetworkError,
        match=r"w: holds this network twice, under 'model\.' and 'ema\.', with different .*Fix: "
        r"save only the right one, a dict of its tensors without 'model\.' in",
    ):
        load_into(small(), twice, Path("w"))
    same = {f"{p}{n}": v for p in ("model.", "ema.") for n, v in state.items()}
    model = small()
    load_into(model, same, Path("w"))
    assert torch.equal(model[0].weight, state["0.weight"])
    # names without a prefix win
    model = small()
    load_into(model, twice | state, Path("w"))
    assert torch.equal(model[0].weight, state["0.weight"])


def test_tensors_missing_under_a_prefix_are_named():
    state = {f"net.{name}": value for name, value in small().state_dict().items()}
    del state["net.2.bias"]
    with pytest.raises(NetworkError, match=r"1 missing in the file \(2\.bias\); 1 left over"):
        load_into(small(), state | {"b": torch.ones(1)}, Path("w"))


def test_checkpoints_that_hold_averages_too_are_refused(tmp_path):
    state = changed(small())
    other = {name: 2 * value for name, value in state.items()}
    file = tmp_path / "w.pt"
    torch.save({"state_dict": state, "state_dict_ema": other, "epoch": 3}, file)
    with pytest.raises(NetworkError, match=r"under 'state_dict\.' and 'state_dict_ema\.'"):
        load_into(small(), read_state(file), file)
    optimiser = torch.optim.Adam(small().parameters())
    sum(p.sum() for p in optimiser.param_groups[0]["params"]).backward()
    optimiser.step()
    torch.save({"weights": state, "optimizer": optimiser.state_dict()}, file)
    model = small()
    assert load_into(model, read_state(file), file) == ""
    assert torch.equal(model[2].weight, state["2.weight"])


def test_tied_tensors_may_be_saved_once(tmp_path):
    first, model = small(tied=True), small(tied=True)
    with torch.no_grad():
        first[2].weight.add_(1)
    save_model(first, str(tmp_path / "w.safetensors"))
    state = read_state(tmp_path / "w.safetensors")
    assert torch.equal(state["3.weight"], state["2.weight"])
    load_into(model, state, Path("w"))
    assert torch.equal(model[3].weight, first[2].weight)
    # names dropped without a note in the file
    model = small(tied=True)
    load_into(model, {n: v for n, v in state.items() if n != "2.weight"}, Path("w"))
    assert torch.equal(model[2].weight, first[2].weight)
    with pytest.raises(
        NetworkError,
        match=r"1 one tensor in the network and two in the file \(3\.weight and 2\.weight\)",
    ):
        load_into(model, state | {"3.weight": state["2.weight"] + 1}, Path("w"))


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn, torch.complex64])
def test_numbers_of_another_kind_are_refused(dtype):
    state = nn.Linear(2, 2).state_dict()
    state["weight"] = state["weight"].to(dtype)
    with pytest.raises(
        NetworkError,
        match=rf"1 of another kind of number \(weight {dtype}, expected torch\.float32\)\. Fix: "
        "save the weights as float32, dequantised",
    ):
        load_into(nn.Linear(2, 2), state, Path("w"))


def test_lazy_modules_take_the_shapes_of_the_file():
    state = nn.Linear(5, 2).state_dict()
    model = nn.LazyLinear(2)
    load_into(model, state, Path("w"))
    assert torch.equal(model.weight, state["weight"])
