"""Harmful files of weights: circular dicts, bombs, tensors without their numbers."""

import time
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from kc.comparison import read_network
from kc.errors import NetworkError
from kc.networks import build
from kc.networks.pretrained import load_pretrained
from kc.networks.state import DEPTH, read_state
from kc.networks.weights import classes_of, load_into
from kc.settings.recipes import Network


def saved(path: Path, content: object, new: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=new)
    return path


def nested(depth: int, inner: object) -> object:
    for _ in range(depth):
        inner = {"model": inner, "epoch": 3}
    return inner


def test_state_dicts_that_contain_themselves_are_refused(tmp_path: Path) -> None:
    ring: dict[str, object] = {"epoch": 3}
    ring["state_dict"] = {"model": ring}
    for content in (ring, nested(DEPTH, {"w": torch.ones(1)}), nested(300, {})):
        for new in (True, False):
            with pytest.raises(
                NetworkError, match=r"w\.pt: its dicts are nested 8 deep, or in a circle\. Fix"
            ):
                read_state(saved(tmp_path / "w.pt", content, new))
    found = read_state(saved(tmp_path / "w.pt", nested(DEPTH - 1, {"w": torch.ones(1)})))
    assert found["w"].tolist() == [1]


def test_a_pickle_of_deeply_nested_dicts_is_refused(tmp_path: Path) -> None:
    """The pickle is deeper than Python would write, so it is written by hand."""
    depth = 20_000
    pickled = b"\x80\x02" + b"}X\x05\0\0\0model" * depth + b"}" + b"s" * depth + b"."
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as packed:
        for name, data in (("data.pkl", pickled), ("version", b"3\n"), ("byteorder", b"little")):
            packed.writestr(f"w/{name}", data)
    with pytest.raises(NetworkError, match=r"w\.pt: its dicts are nested"):
        read_state(tmp_path / "w.pt")


WIDE = (400_000_000, 512)


def one_number() -> torch.Tensor:
    place = torch.zeros(2, 1, dtype=torch.long)
    return torch.sparse_coo_tensor(place, torch.ones(1), WIDE, check_invariants=True)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (torch.zeros(1).expand(WIDE), r"needs 819,200,000,000 bytes, but has 4"),
        (torch.zeros(512).expand(WIDE), r"needs 819,200,000,000 bytes, but has 2,048"),
        (torch.zeros(3).as_strided((1 << 30, 2), (0, 1)), r"needs 8,589,934,592 bytes, but has 1"),
        (torch.zeros(WIDE, device="meta"), r"has no numbers \(it is on the device 'meta'\)"),
        (torch.zeros(4, 5, device="meta"), r"has no numbers"),
        (one_number(), r"of shape \(400000000, 512\) is sparse and has 819,200,000,000 bytes"),
    ],
)
def test_tensors_whose_numbers_are_not_in_the_file_are_refused(
    tmp_path: Path, value: torch.Tensor, told: str
) -> None:
    for name in ("fc.weight", "fc.bias"):
        file = saved(tmp_path / "w.pth", {"conv": torch.ones(1), name: value})
        match = rf"w\.pth: '{name}' .*{told}.*; expected a tensor whose numbers are all"
        with pytest.raises(NetworkError, match=match):
            read_state(file)


def test_a_small_file_that_requests_a_layer_of_800_gb_is_refused(tmp_path: Path) -> None:
    one = torch.zeros(1)
    state = {"fc.bias": one.expand(WIDE[0]), "fc.weight": one.expand(WIDE)}
    file = saved(tmp_path / "w.pth", state)
    assert file.stat().st_size < 2048
    started = time.monotonic()
    with pytest.raises(NetworkError, match=r"'fc\.bias' .*needs 1,600,000,000 bytes, but has 4"):
        read_network("resnet18", file)
    with pytest.raises(NetworkError, match=r"'fc\.bias' .*needs 1,600,000,000 bytes, but has 4"):
        load_pretrained(build("resnet18", 3, Network(), seed=0), "resnet18", file)
    assert time.monotonic() - started < 20


@pytest.mark.filterwarnings("ignore")
def test_sparse_and_quantised_tensors_become_plain_ones(tmp_path: Path) -> None:
    wide = torch.zeros(400, 1000)
    wide[torch.arange(40) * 2, torch.arange(40) * 4] = 1.5
    for thin in (wide.to_sparse(), wide.to_sparse_csr(), wide.to_sparse_bsr((4, 4))):
        file = saved(tmp_path / "w.pt", {"w": thin})
        with pytest.raises(NetworkError, match=r"'w' .* is sparse and has 1,600,000 bytes"):
            read_state(file)
    for few in (wide[:80].to_sparse(), wide[:80].to_sparse_csr(), wide[:80].to_sparse_bsr((4, 4))):
        found = read_state(saved(tmp_path / "w.pt", {"w": few}))["w"]
        assert found.layout is torch.strided
        assert torch.equal(found, wide[:80])
    numbers = torch.quantize_per_tensor(torch.eye(4), 0.5, 3, torch.qint8)
    found = read_state(saved(tmp_path / "w.pt", {"w": numbers}))["w"]
    assert found.dtype == torch.float32
    assert torch.equal(found, torch.eye(4))
    bomb = torch._empty_affine_quantized([1], scale=1, zero_point=0, dtype=torch.qint8)
    file = saved(tmp_path / "w.pt", {"w": bomb.expand(1 << 30)})
    with pytest.raises(NetworkError, match=r"'w' .* needs 1,073,741,824 bytes, but has 1"):
        read_state(file)


def test_tensors_that_repeat_few_numbers_or_share_memory_are_accepted(tmp_path: Path) -> None:
    shared = torch.arange(6.0)
    state = {
        "mask": torch.zeros(1).expand(9, 9),
        "part": shared[2:4],
        "turned": shared.view(2, 3).T,
        "one": torch.tensor(3),
        "none": torch.zeros(0, 5),
        "given": torch.nn.Parameter(torch.ones(2)),
    }
    for new in (True, False):
        found = read_state(saved(tmp_path / "w.pt", state, new))
        assert {name: value.tolist() for name, value in found.items()} == {
            name: value.tolist() for name, value in state.items()
        }


@pytest.mark.parametrize("shape", [(4000, 1), (4000,), (4000, 512, 1), (0, 512)])
def test_a_last_layer_may_differ_only_in_its_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    """A bias of a million classes is 4 MB; the layer would be 2,000."""
    state = models.resnet18(num_classes=2).state_dict()
    state |= {"fc.weight": torch.zeros(shape), "fc.bias": torch.zeros(shape[0])}
    save_file(state, tmp_path / "w.safetensors")
    built = []
    make = models.get_model
    monkeypatch.setattr(
        models, "get_model", lambda *of, **about: (built.append(about), make(*of, **about))[1]
    )
    with pytest.raises(NetworkError, match=r"2 of another shape \(fc\.weight \("):
        read_network("resnet18", tmp_path / "w.safetensors")
    assert built == [{"weights": None}]
    own = models.resnet18(num_classes=2).state_dict()
    assert classes_of(own | {"fc.weight": torch.zeros(7, 512), "fc.bias": torch.zeros(7)}, own) == 7
    assert classes_of(own | {"fc.bias": torch.zeros(7)}, own) is None
    assert classes_of({}, own) is None


def test_packed_and_overlapping_members_are_refused(tmp_path: Path) -> None:
    """The counter-example is the same file as torch writes it, uncompressed."""
    whole = saved(tmp_path / "whole.pt", {"w": torch.zeros(1 << 18)})
    assert read_state(whole)["w"].shape == (1 << 18,)
    packed = tmp_path / "packed.pt"
    with (
        zipfile.ZipFile(whole) as old,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for member in old.infolist():
            new.writestr(member.filename, old.read(member))
    assert packed.stat().st_size < 10_000
    with pytest.raises(
        NetworkError, match=r"packed\.pt: not readable as weights \(ValueError: its .* unpack to 1,"
    ):
        read_state(packed)


def test_names_that_are_not_text_end_in_one_error(tmp_path: Path) -> None:
    file = saved(tmp_path / "w.pth", {0: torch.ones(1), None: torch.ones(1), (1, 2): torch.ones(1)})
    assert set(read_state(file)) == {"0", "None", "(1, 2)"}
    with pytest.raises(NetworkError, match=r"3 left over \(0, None, \(1, 2\)\)\. Fix"):
        load_pretrained(build("resnet18", 3, Network(), seed=0), "resnet18", file)
    with pytest.raises(NetworkError, match=r"3 left over \(0, None, \(1, 2\)\)"):
        load_into(torch.nn.Linear(2, 2), read_state(file), file)


def test_numbers_that_torch_cannot_convert_name_the_file(tmp_path: Path) -> None:
    strange = torch.zeros(2, dtype=torch.uint8).view(torch.bits8)
    file = saved(tmp_path / "w.pt", {"kept": strange})
    model = torch.nn.Module()
    model.register_buffer("kept", torch.zeros(2, dtype=torch.uint8))
    with pytest.raises(NetworkError, match=r"w\.pt: Error.*kept.*Fix: save the weights as float32"):
        load_into(model, read_state(file), file)


def test_damaged_files_end_in_one_error(tmp_path: Path) -> None:
    """Change bits at random: the file is read, or refused."""
    generator = torch.Generator().manual_seed(0)
    state = {"a.weight": torch.ones(3, 4), "a.bias": torch.ones(3)}
    save_file(state, tmp_path / "w.safetensors")
    saved(tmp_path / "w.pt", {"state_dict": state})
    saved(tmp_path / "w.th", state, new=False)
    for name in ("w.safetensors", "w.pt", "w.th"):
        data = (tmp_path / name).read_bytes()
        for bit in torch.randint(len(data) * 8, (40,), generator=generator).tolist():
            broken = bytearray(data)
            broken[bit // 8] ^= 1 << bit % 8
            (tmp_path / name).write_bytes(broken)
            try:
                read_state(tmp_path / name)
            except NetworkError as error:
                assert "Fix: " in str(error)  # noqa: PT017, either will do
