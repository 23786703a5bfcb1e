"""Stores and products refuse to write where there are files that kc did not make."""

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr

from kc.errors import StoreError
from kc.files.made import MADE, begin_register
from kc.names import folder_id
from kc.steps.storage import drop_store
from kc.store import ArraySpec, StoreContent, StoreWriter, open_store
from kc.store.files import sign, spell_json, write_bytes_atomic, write_json_atomic
from kc.store.lock import lock
from kc.store.place import Folder
from kc.store.product import Product

VALUES = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)


def writer(path: Path, key: str = "k", name: str = "unit", root: str = "") -> StoreWriter:
    spec = ArraySpec(name, ("image", "unit"), VALUES.shape, "float32")
    rows = pd.DataFrame({"image_id": [f"{n}" for n in range(len(VALUES))]})
    return StoreWriter(path, key, StoreContent([spec], rows, 4), mend="make it again", root=root)


def written(path: Path, key: str = "k", name: str = "unit", root: str = "") -> Path:
    with writer(path, key, name, root) as store:
        for shard in store.missing():
            store.write(shard, {name: VALUES[store.rows(shard)]})
        store.finish()
    return path


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def refused(folder: Path, store: StoreWriter, told: str) -> None:
    before = files(folder)
    with pytest.raises(StoreError, match=told), store:
        pass
    assert files(folder) == before


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Make a folder of the user."""
    folder = tmp_path / "mine"
    zarr.create_array(folder / "x.zarr", data=VALUES)
    (folder / "notes.txt").write_text("mine")
    return folder


def test_a_users_array_in_the_place_of_a_store_is_not_changed(mine: Path):
    refused(mine, writer(mine / "x.zarr"), r"x\.zarr: kc did not make .*x\.zarr/zarr\.json.*Fix: m")


def test_a_folder_with_one_file_is_refused_and_an_empty_one_is_filled(tmp_path: Path):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr/mine.txt").write_text("mine")
    refused(tmp_path, writer(tmp_path / "a.zarr"), r"kc did not make a\.zarr/mine\.txt, and writes")
    (tmp_path / "a.zarr/mine.txt").rename(tmp_path / "a.zarr/.DS_Store")
    assert open_store(written(tmp_path / "a.zarr")).verify() == []


@pytest.mark.parametrize("name", ["a.zarr/mine.txt", "a.state/receipts/mine", "a.zarr/unit/c/mine"])
@pytest.mark.parametrize("key", ["k", "other"])
def test_a_file_added_to_a_store_later_is_never_removed(tmp_path: Path, name: str, key: str):
    written(tmp_path / "a.zarr")
    (tmp_path / name).write_text("mine")
    refused(tmp_path, writer(tmp_path / "a.zarr", key), rf"kc did not make {name}")


@pytest.mark.parametrize("told_by", ["key", "manifest"])
def test_an_array_added_to_a_store_is_never_removed(tmp_path: Path, told_by: str):
    path = written(tmp_path / "a.zarr")
    zarr.open_group(path, mode="a").create_array("mine", data=VALUES)
    if told_by == "manifest":
        (tmp_path / "a.state/key.json").write_bytes(spell_json(sign({"key": "of before"})))
    refused(tmp_path, writer(path, "other"), r"kc did not make a\.zarr/mine/c/0/0")


def test_a_users_file_with_the_name_of_the_manifest_is_not_changed(tmp_path: Path):
    (tmp_path / "a.json").write_text('{"labels": [1, 2]}')
    refused(tmp_path, writer(tmp_path / "a.zarr"), r"kc did not make a\.json")
    refused(tmp_path, writer(tmp_path / "a.zarr", root=str(tmp_path / "r")), r"not make a\.json")
    (tmp_path / "a.json").unlink()
    (tmp_path / "a.json").mkdir()
    refused(tmp_path, writer(tmp_path / "a.zarr"), r"kc did not make a\.json")


def test_stores_of_an_older_kc_count_as_kcs(tmp_path: Path):
    path = written(tmp_path / "a.zarr")
    (tmp_path / "a.state/key.json").write_bytes(spell_json(sign({"key": "of before"})))
    assert open_store(written(path, "new", "other")).names == ["other"]
    shutil.rmtree(tmp_path / "a.state")  # recognised by its manifest
    assert open_store(written(path, "newer")).names == ["unit"]


@pytest.mark.parametrize("damage", ["{", "", '{\n  "ke'])
def test_a_damaged_key_is_still_kcs(tmp_path: Path, damage: str):
    path = written(tmp_path / "a.zarr")
    (tmp_path / "a.state/key.json").write_text(damage)
    (tmp_path / "a.json").unlink()
    assert open_store(written(path, "new", "other")).names == ["other"]
    assert not (path / "unit").exists()


def test_a_users_text_with_a_name_of_kc_is_not_changed(tmp_path: Path):
    (tmp_path / "a.state").mkdir()
    for name in ("a.json", "a.state/key.json"):
        (tmp_path / name).write_text("my notes")
        (tmp_path / "a.zarr").mkdir(exist_ok=True)
        (tmp_path / "a.zarr/zarr.json").write_text("{}")
        refused(tmp_path, writer(tmp_path / "a.zarr"), r"kc did not make a\.zarr/zarr\.json")
        (tmp_path / name).unlink()


def test_an_empty_manifest_is_still_kcs(tmp_path: Path):
    path = written(tmp_path / "a.zarr")
    (tmp_path / "a.json").write_bytes(b"\x00\xff\x00")
    assert open_store(written(path)).verify() == []


@pytest.mark.parametrize("deletes", range(5))
@pytest.mark.parametrize("lost", ["", "a.state"])
def test_a_kill_while_a_store_is_emptied_leaves_it_kcs(tmp_path, monkeypatch, deletes, lost):
    path, count, delete = written(tmp_path / "a.zarr"), 0, Folder.delete
    if lost:
        shutil.rmtree(tmp_path / lost)

    def dying(self: Folder, name: str) -> None:
        nonlocal count
        count += 1
        if count > deletes:
            raise KeyboardInterrupt
        if count == deletes and name.endswith(".zarr"):
            (path / "zarr.json").unlink()  # a part of it
            raise KeyboardInterrupt
        delete(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "delete", dying)
        with pytest.raises(KeyboardInterrupt), writer(path, "new", "other"):
            raise KeyboardInterrupt
    assert open_store(written(path, "newest", "third")).names == ["third"]


def test_a_store_with_the_key_of_another_is_made_again_if_it_is_noted(tmp_path: Path):
    begin_register(tmp_path)
    for name in ("one", "two"):
        written(tmp_path / f"{name}.zarr", name, name)
    before, keys = files(tmp_path), [tmp_path / f"{name}.state" for name in ("one", "two")]
    for file in ("key.json", "receipts/000000.json"):
        contents = [(key / file).read_bytes() for key in keys]
        for key, content in zip(keys, reversed(contents), strict=True):
            (key / file).write_bytes(content)
    (tmp_path / "two.json").unlink()  # as Snakemake does before the job
    (tmp_path / MADE / "two.zarr.json").rename(tmp_path / "kept")
    told = "two.zarr: kc did not make two.zarr/two/c/0/0, "
    refused(tmp_path, writer(tmp_path / "two.zarr", "two", "two"), told)
    (tmp_path / "kept").rename(tmp_path / MADE / "two.zarr.json")
    for name in ("one", "two"):
        written(tmp_path / f"{name}.zarr", name, name)
    assert files(tmp_path) == before


def test_links_in_the_place_of_a_store_are_not_followed(mine: Path, tmp_path: Path):
    (tmp_path / "a.zarr").symlink_to(mine / "x.zarr")
    refused(tmp_path, writer(tmp_path / "a.zarr"), r"kc did not make a\.zarr, and writes")
    (tmp_path / "a.zarr").unlink()
    path = written(tmp_path / "a.zarr")
    shutil.rmtree(path / "unit/c")
    (path / "unit/c").symlink_to(mine)
    refused(tmp_path, writer(path), r"kc did not make a\.zarr/unit/c, and writes")


def test_deleting_a_link_keeps_its_target(mine: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(mine)
    before = files(mine)
    Folder(tmp_path).delete("link")
    assert files(mine) == before
    assert not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("link", ["table.csv", ".table.csv.aside"])
def test_writing_a_file_replaces_a_link_and_keeps_its_target(tmp_path: Path, link: str):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / link).symlink_to(tmp_path / "mine")
    write_bytes_atomic(tmp_path / "table.csv", b"1,2")
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "table.csv").is_symlink()
    assert (tmp_path / "table.csv").read_bytes() == b"1,2"


def test_writing_a_shard_replaces_a_link_and_keeps_its_target(tmp_path: Path):
    path = written(tmp_path / "a.zarr")
    (tmp_path / "mine").write_text("mine")
    shard = path / "unit/c/1/0"
    shard.unlink()
    for link in (shard, shard.with_name("0.kc.partial")):
        link.symlink_to(tmp_path / "mine")
    assert open_store(written(path)).verify() == []
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("how", ["link", "hard link", "file", "folder"])
def test_a_lock_does_not_empty_files_of_the_user(tmp_path: Path, how: str):
    (tmp_path / "mine").write_text("mine" if how == "file" else "")
    if how == "link":
        (tmp_path / "lock").symlink_to(tmp_path / "mine")
    elif how == "hard link":
        (tmp_path / "lock").hardlink_to(tmp_path / "mine")
    elif how == "file":
        (tmp_path / "mine").rename(tmp_path / "lock")
    else:
        (tmp_path / "lock").mkdir()
    before = files(tmp_path)
    with pytest.raises(StoreError, match=r"lock: a link, or a file that kc did not make.*Fix"):
        lock(tmp_path / "lock")
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", ["history.csv", "weights", "mine.txt", "lock"])
def test_a_folder_without_a_key_is_not_a_product_of_kc(tmp_path: Path, name: str):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / name).write_text("mine")
    told = rf"net: kc did not make {name}, and"
    with pytest.raises(StoreError, match=told), Product(tmp_path / "net", "k", ["weights"]):
        pass
    assert files(tmp_path) == {f"net/{name}": b"mine"}
    (tmp_path / "net" / name).rename(tmp_path / "mine")
    shutil.rmtree(tmp_path / "net")
    (tmp_path / "mine").rename(tmp_path / "net")
    with pytest.raises(StoreError, match="kc did not make net"), Product(tmp_path / "net", "k"):
        pass


def finished_product(folder: Path, key: str = "k") -> Path:
    with Product(folder, key, ["weights", "state"]) as product:
        product.start()
        (folder / "weights").write_bytes(b"1234")
        (folder / "state").write_bytes(b"epoch")
        product.finish({}, ["weights"])
    return folder


def test_a_product_with_only_its_note_left_is_made_again_without_loss(
    tmp_path: Path,
):
    begin_register(tmp_path)
    folder = finished_product(tmp_path / "net")
    before = files(tmp_path)
    (tmp_path / MADE / "net.json").write_bytes(b"cut")
    for name in ("key.json", "result.json", "card.json"):
        (folder / name).unlink()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"net: kc did not make mine\.txt, and writes here"):
        finished_product(folder)
    (folder / "mine.txt").unlink()
    finished_product(folder)
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", ["mine.txt", "mine/deep.txt"])
def test_files_added_to_a_product_later_are_never_removed(tmp_path: Path, name: str):
    folder = finished_product(tmp_path / "net")
    assert not (folder / "state").exists()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("mine")
    before = files(tmp_path)
    with Product(folder, "k") as product:
        assert product.is_done()
    assert files(tmp_path) == before
    top = name.partition("/")[0]
    with (
        pytest.raises(StoreError, match=f"net: kc did not make {top}, and writes here"),
        Product(folder, "other") as product,
    ):
        product.start()
    assert files(tmp_path) == before


@pytest.mark.parametrize("deletes", range(5))
def test_a_kill_while_a_product_is_emptied_leaves_it_kcs(tmp_path, monkeypatch, deletes: int):
    folder, left, unlink = finished_product(tmp_path / "net"), deletes, Path.unlink
    (folder / ".weights.aside").write_bytes(b"12")

    def dying(self: Path, missing_ok: bool = False) -> None:
        nonlocal left
        if not self.name.endswith(".json.aside"):
            left -= 1
        if left < 0:
            raise KeyboardInterrupt
        unlink(self, missing_ok)

    # for a kc that writes no weights: only the card, removed early, names them
    with Product(folder, "new") as product, monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", dying)
        with contextlib.suppress(KeyboardInterrupt):
            product.start()
    with Product(folder, "newest") as product:
        product.start()
    assert set(files(folder)) == {"key.json", "lock"}


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Make a root with a finished store of folder ``one``."""
    written(tmp_path / "one/a.zarr", "k1", root=str(tmp_path / "root"))
    return tmp_path


@pytest.mark.parametrize("key", ["k1", "k2"])
def test_a_store_of_another_folder_that_shares_the_root_is_refused(shared: Path, key: str):
    told = rf"root/a\.zarr: a store of {folder_id(shared / 'one')}; this is .*another storage\.root"
    refused(shared, writer(shared / "two/a.zarr", key, root=str(shared / "root")), told)
    refused(shared, writer(shared / "root/a.zarr", key), r"a store of one-.*without storage\.root")
    # its own store, under another key, is made again
    written(shared / "one/a.zarr", "k3", root=str(shared / "root"))
    assert open_store(shared / "one/a.json").manifest["key"] == "k3"


def remove_owner(state: Path) -> None:
    about = {n: v for n, v in json.loads(state.read_text()).items() if n in ("key", "holds")}
    write_json_atomic(state, sign(about))


def test_a_store_without_an_owner_is_recognised_by_its_key(shared: Path):
    remove_owner(shared / "root/a.state/key.json")
    told = r"a store of another results folder; this is two-"
    refused(shared, writer(shared / "two/a.zarr", "k2", root=str(shared / "root")), told)
    with writer(shared / "two/a.zarr", "k1", root=str(shared / "root")) as store:
        assert store.missing() == []
        store.finish()
    remove_owner(shared / "root/a.state/key.json")
    written(shared / "one/a.zarr", "k3", root=str(shared / "root"))  # as its manifest says
    assert open_store(shared / "one/a.json").manifest["key"] == "k3"


def test_only_the_folders_own_store_is_dropped(shared: Path):
    shutil.copytree(shared / "one", shared / "two")
    before = files(shared)
    with pytest.raises(StoreError, match=r"a store of one-.*; this is two-"):
        drop_store(shared / "two/a.json", ["fit"])
    (shared / "root/a.zarr/mine").write_text("mine")
    with pytest.raises(StoreError, match=r"kc did not make a\.zarr/mine"):
        drop_store(shared / "one/a.json", ["fit"])
    (shared / "root/a.zarr/mine").unlink()
    assert files(shared) == before
    drop_store(shared / "one/a.json", ["fit"])
    drop_store(shared / "one/a.json", ["fit"])  # as after a kill before the last file
    assert set(files(shared)) == {"one/dropped/a.json", "two/a.json"}
    (shared / "one/a.json").write_text("[]")
    with pytest.raises(StoreError, match=r"a\.json: kc did not make a\.json"):
        drop_store(shared / "one/a.json", ["fit"])
    assert (shared / "one/a.json").read_text() == "[]"
