"""A comparison overwrites neither its inputs nor files that kc did not make."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from kc.comparison import CompareSettings, compare, compare_layers, read_arrays, read_network
from kc.comparison import make as custom
from kc.comparison import write_pair as comparison
from kc.comparison.outputs import LEDGER
from kc.comparison.places import check_writable, refuse_inputs
from kc.errors import StoreError
from kc.report import tables
from kc.report.page import FILES
from kc.settings.custom import Pair
from kc.settings.feature_maps import Activations
from kc.settings.reconstruction import Consistency, Optimiser
from kc.store.files import write_bytes_atomic
from kc.store.ownership import claimed

SETTINGS = CompareSettings(
    size=16,
    activations=Activations(shard_rows=32, batch_size=8),
    consistency=Consistency(order=1, optimiser=Optimiser(epochs=1)),
)
X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def features(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", X)
    return tmp_path / "x.npy"


def made(file: Path, out: Path) -> Path:
    return custom.make(Pair(a=str(file), b=str(file)), SETTINGS, out, "cpu")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished comparison in ``out``, next to its features."""
    folder = tmp_path_factory.mktemp("whole")
    np.save(folder / "x.npy", X)
    made(folder / "x.npy", folder / "out")
    return folder


@pytest.fixture
def again(whole: Path, tmp_path: Path) -> Path:
    """A copy of the finished comparison."""
    return Path(shutil.copytree(whole, tmp_path / "again"))


def refused(folder: Path, out: Path, told: str, a: str | Path, b: str | Path) -> None:
    before = files(folder)
    with pytest.raises(StoreError, match=told):
        custom.make(Pair(a=str(a), b=str(b)), SETTINGS, out, "cpu")
    assert files(folder) == before


def link_to(path: Path, target: Path) -> Path:
    path.symlink_to(target)
    return path


def test_inputs_in_output_places_are_found_under_any_spelling(tmp_path: Path, monkeypatch):
    kept, data = tmp_path / "out/activations/a.zarr", tmp_path / "data/photos"
    kept.mkdir(parents=True)
    data.mkdir(parents=True)
    (data / "one.npy").touch()
    os.link(data / "one.npy", tmp_path / "hard.npy")
    monkeypatch.chdir(tmp_path)
    same = [
        (kept, kept),
        (Path("out/activations/a.zarr"), kept),
        (Path("out/../out/activations/a.zarr"), kept),
        (link_to(tmp_path / "linked", tmp_path / "out") / "activations/a.zarr", kept),
        (kept, link_to(tmp_path / "a.zarr", kept)),
        (tmp_path / "hard.npy", data / "one.npy"),
        (data / "out/tables/compare.csv", data),
        (link_to(tmp_path / "inside", data) / "new/fits", data.parent),
    ]
    for place, given in same:
        with pytest.raises(StoreError, match=r"the place is, or lies in, .*Fix: another --out"):
            refuse_inputs([place], [given])
    with pytest.raises(StoreError, match=rf"{data.parent}: kc writes here, and the place holds"):
        refuse_inputs([data.parent], [data / "one.npy"])
    refuse_inputs([tmp_path / "out/fits/b-from-a", kept, tmp_path / "new"], [data, tmp_path / "no"])
    refuse_inputs([tmp_path / "tables/compare.csv"], [tmp_path / "hard.npy"])


def test_features_in_a_place_of_kc_are_refused_and_kept(tmp_path: Path, monkeypatch):
    for name in "ab":
        zarr.create_array(tmp_path / f"activations/{name}.zarr", data=X)
    monkeypatch.chdir(tmp_path)
    told = r"activations/a\.zarr: kc writes here, and the place is, or lies in, activations/a\.zarr"
    refused(tmp_path, Path(), told, "activations/a.zarr", "activations/b.zarr")
    np.save(tmp_path / "x.npy", X)
    refused(tmp_path, Path(), r"kc did not make activations/a\.zarr/", "x.npy", "x.npy")
    # places that are not written to are not checked
    refused(tmp_path, Path(), "lies in", "x.npy", "activations/b.zarr")


def test_stores_of_a_comparison_are_compared_only_in_another_folder(again: Path, monkeypatch):
    monkeypatch.chdir(again)
    link_to(again / "link", again / "out")
    for out in (Path("out"), Path("link"), Path("out/../out")):
        names = [out / "activations" / f"{name}.zarr" for name in "ba"]
        refused(again, Path("out"), r"kc writes here, and the place is, or lies in", *names)
        sides = [read_arrays(str(name)) for name in names]
        with pytest.raises(StoreError, match="kc writes here"):
            compare_layers(*sides, out=out, settings=SETTINGS, say=print)
    made(again / "out/activations/a.zarr", again / "new")


@pytest.mark.parametrize(
    "name",
    [
        *("activations/a.zarr/mine.txt", "activations/b.json", "fits/b-from-a/mine.txt"),
        *("peers/a-from-b/mine.txt", "tables/compare.csv", "tables/peers.tex", "index.html"),
        *(
            "figures/b-from-a.png",
            "index_files/mine.txt",
            "index_files",
            "tables",
            "fits",
            "kc.json",
        ),
        *("fits/b-from-a/lock", "activations/a.state/door", "peers/b-from-a"),
    ],
)
def test_a_file_of_the_users_is_refused_before_anything_is_written(features, tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text('{"mine": true}')
    refused(tmp_path, tmp_path, "kc did not make", features, features)


@pytest.mark.parametrize(
    "name", ["fits/b-from-a/mine.txt", "index_files/mine.txt", "activations/a.zarr/mine.txt"]
)
def test_a_file_put_there_later_is_kept(again: Path, name: str):
    (again / "out" / name).write_text("mine")
    refused(again, again / "out", "kc did not make", again / "x.npy", again / "x.npy")


def test_unrelated_files_are_left_alone(again: Path):
    names = ("tables/mine.csv", "figures/mine.png", "fits/mine/g", "mine.txt", "classes/x")
    for name in names:
        (again / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (again / "out" / name).write_text("mine")
    made(again / "x.npy", again / "out")
    for name in names:
        assert (again / "out" / name).read_text() == "mine"


def test_pictures_in_the_place_of_a_store_and_a_file_of_a_folder_are_refused(
    nets, photos, tmp_path
):
    network = read_network(f"{nets}:tiny")
    out = tmp_path / "out"
    shutil.copytree(photos, out / "pictures.zarr/photos")
    before = files(tmp_path)
    told = r"pictures\.zarr: kc writes here, and the place holds .*photos"
    for run in (compare, compare_layers):
        with pytest.raises(StoreError, match=told):
            run(network, network, "mean", "mean", out / "pictures.zarr/photos", out, SETTINGS)
        with pytest.raises(StoreError, match=r"kc did not make pictures\.zarr/photos"):
            run(network, network, "mean", "mean", photos, out, SETTINGS)
    (tmp_path / "file").touch()
    before = files(tmp_path)
    with pytest.raises(StoreError, match=r"file/out: kc did not make .*/file, and writes here"):
        compare(network, network, "mean", "mean", photos, tmp_path / "file/out", SETTINGS)
    with pytest.raises(StoreError, match=r"the place is, or lies in, .*photos"):
        compare_layers(network, network, "mean", "mean", photos, photos / "out", SETTINGS)
    assert files(tmp_path) == before


def test_files_of_the_network_and_of_ids_are_inputs(again: Path):
    names = [f"row-{n}" for n in range(60)]
    csv = again / "out/tables/compare.csv"
    csv.write_text("".join(f"{name}\n" for name in names))
    before = files(again)
    pair = Pair(a=str(again / "x.npy"), b=str(again / "x.npy"), ids_a=csv)
    with pytest.raises(StoreError, match=r"compare\.csv: kc writes here, and the place is"):
        custom.make(pair, SETTINGS, again / "out", "cpu")
    assert files(again) == before


@pytest.mark.parametrize("count", [3, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 5))])
def test_an_interruption_while_tables_are_written_does_not_block_the_next_run(
    again: Path, monkeypatch, count: int
):
    for path in (again / "out/tables").iterdir():
        path.unlink()
    (again / "out" / LEDGER).unlink()
    (again / "out/index.html").unlink()
    for folder in (FILES, "figures"):
        shutil.rmtree(again / "out" / folder)

    def dying(path: Path, content: bytes) -> None:
        nonlocal count
        count -= 1
        if count < 0:
            raise KeyboardInterrupt
        write_bytes_atomic(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(tables, "write_bytes_atomic", dying)
        with pytest.raises(KeyboardInterrupt):
            made(again / "x.npy", again / "out")
    assert (again / "out/tables/compare.csv").is_file()
    made(again / "x.npy", again / "out")
    assert len(list((again / "out/tables").iterdir())) == 12


@pytest.mark.parametrize("left", ["tables", "index_files"])
def test_the_folder_of_an_older_kc_is_recognised(again: Path, left: str):
    out = again / "out"
    for name in (LEDGER, f"{FILES}/{LEDGER}"):
        (out / name).unlink()
    (out / "index.html").write_text("of before")
    if left == "tables":
        shutil.rmtree(out / FILES)
        (out / "index.html").unlink()
    else:
        shutil.rmtree(out / "tables")
    made(again / "x.npy", out)
    assert "tables/compare.csv" in claimed(out)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"names": ["x"], "checksum": "0"}'])
def test_a_damaged_list_is_still_kcs(again: Path, damage: bytes):
    out = again / "out"
    before = {path: (out / path).read_bytes() for path in (LEDGER, f"{FILES}/{LEDGER}")}
    for name in before:
        (out / name).write_bytes(damage)
    made(again / "x.npy", out)
    assert {path: (out / path).read_bytes() for path in before} == before


def test_links_in_place_of_outputs_are_replaced(again: Path):
    (again / "mine").write_text("mine")
    linked = [again / "out" / name for name in ("tables/compare.csv", "index.html", LEDGER)]
    linked += [again / "out/index_files/page.css", again / "out/fits/b-from-a/card.json"]
    for path in linked:
        content = path.read_bytes()
        path.unlink()
        path.symlink_to(again / "mine")
        (again / "mine").write_bytes(content)
        made(again / "x.npy", again / "out")
        assert (again / "mine").read_bytes() == content
        assert not path.is_symlink()
        assert path.read_bytes() == content


def test_writing_a_comparison_elsewhere_is_checked_too(features, tmp_path):
    side = read_arrays(str(features))
    found = compare(side, side, out=tmp_path / "out", settings=SETTINGS)
    (tmp_path / "page/tables").mkdir(parents=True)
    (tmp_path / "page/tables/peers.md").write_text("mine")
    with pytest.raises(StoreError, match=r"page: kc did not make tables/peers\.md, and"):
        comparison.write_comparison(found, tmp_path / "page")
    assert files(tmp_path / "page") == {"tables/peers.md": b"mine"}


def test_a_folder_that_cannot_be_written_to_is_refused(features: Path, tmp_path: Path):
    (tmp_path / "lost").symlink_to("nowhere")
    (tmp_path / "ring").symlink_to("ring")
    (tmp_path / "file").write_text("mine")
    places = {
        "lost": "lost: kc cannot write there \\(a link to what is not there, nowhere\\). Fix",
        "ring/sub": "kc cannot write there \\(.*[Ll]oop",
        "y" * 300: r"kc cannot write there \(.*File name too long.*\)\. Fix: another --out",
        "/".join(["y" * 200] * 25): r"kc cannot write there \(.*File name too long",
        "o\udcff": r"o\\udcff: kc cannot write there \(no name in UTF-8\)\. Fix",
        "file": "kc did not make .*file, and writes here",
        "file/sub": "kc did not make .*file, and writes here",
        "/proc/kc": "/proc/kc: kc cannot write there .*Fix: another --out",
    }
    for name, told in places.items():
        refused(tmp_path, tmp_path / name, told, features, features)
    check_writable(tmp_path / "new/folder")
    assert not (tmp_path / "new").exists()
