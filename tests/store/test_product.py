"""A folder of files made together is found again under its key if complete."""

from pathlib import Path

import pytest

from kc.errors import StoreError
from kc.store.files import read_json
from kc.store.product import Product, damaged_files, read_card

FILES = ("weights", "history", "state", "early", "late")


def made(folder: Path, key: str = "k1") -> Product:
    with Product(folder, key, FILES) as product:
        product.start()
        (folder / "weights").write_bytes(b"1234")
        (folder / "history").write_bytes(b"epoch")
        product.finish({"accuracy": 1.0}, ["weights", "history"])
    return product


def started(folder: Path, key: str) -> set[str]:
    with Product(folder, key, FILES) as product:
        product.start()
    return {path.name for path in folder.iterdir()}


def test_a_removed_card_is_restored(tmp_path: Path):
    product = made(tmp_path / "net")
    before = (tmp_path / "net/card.json").read_bytes()
    (tmp_path / "net/card.json").unlink()
    assert product.is_done()
    assert (tmp_path / "net/card.json").read_bytes() == before


@pytest.mark.parametrize("name", ["weights", "history"])
def test_a_product_with_a_damaged_file_is_not_done(tmp_path: Path, name: str):
    product = made(tmp_path / "net")
    (tmp_path / "net/card.json").unlink()
    (tmp_path / f"net/{name}").write_bytes(b"1235")
    assert not product.is_done()
    assert not (tmp_path / "net/card.json").exists()
    assert damaged_files(product.folder, read_json(product.folder / "result.json")) == [name]


def test_another_key_starts_empty_and_its_own_keeps_states(tmp_path: Path):
    made(tmp_path / "net")
    (tmp_path / "net/state").write_bytes(b"epoch 3")
    assert not Product(tmp_path / "net", "k2").is_done()
    kept = started(tmp_path / "net", "k1")
    assert kept == {"key.json", "lock", "state", "weights", "history"}
    assert started(tmp_path / "net", "k2") == {"key.json", "lock"}


def test_changes_of_a_sealed_file_are_found(tmp_path: Path, caplog):
    with Product(tmp_path / "net", "k") as product:
        product.start()
        for name in ("early", "late"):
            (tmp_path / "net" / name).write_bytes(b"1234")
        product.seal("early")
    assert started(tmp_path / "net", "k") == {"key.json", "lock", "seals.json", "early", "late"}
    with product:
        (tmp_path / "net/early").write_bytes(b"1235")
        with pytest.raises(
            StoreError, match=r"net: early missing or changed.*Fix: run the command"
        ):
            product.finish({}, ["late", "early"])
        assert not (tmp_path / "net/card.json").exists()
    assert started(tmp_path / "net", "k") == {"key.json", "lock"}
    assert "early missing or changed since written" in caplog.text


@pytest.mark.parametrize("text", ["{", "{}"])
def test_unreadable_seals_are_not_trusted(tmp_path: Path, text: str):
    with Product(tmp_path / "net", "k") as product:
        product.start()
        (tmp_path / "net/early").write_bytes(b"1234")
        product.seal("early")
    (tmp_path / "net/seals.json").write_text(text)
    assert started(tmp_path / "net", "k") == {"key.json", "lock"}


def test_seals_are_removed_when_the_card_is_written(tmp_path: Path):
    with Product(tmp_path / "net", "k") as product:
        product.start()
        (tmp_path / "net/early").write_bytes(b"1234")
        product.seal("early")
        product.finish({}, ["early"])
    assert not (tmp_path / "net/seals.json").exists()
    assert read_card(tmp_path / "net")["files"].keys() == {"early"}


def test_a_second_process_is_refused(tmp_path: Path):
    with (
        Product(tmp_path / "net", "k"),
        pytest.raises(StoreError, match="another process writes here"),
        Product(tmp_path / "net", "k"),
    ):
        pass
    assert (tmp_path / "net/lock").read_bytes() == b""


def test_an_edited_card_is_refused(tmp_path: Path):
    made(tmp_path / "net")
    assert read_card(tmp_path / "net")["accuracy"] == 1.0
    card = tmp_path / "net/card.json"
    card.write_text(card.read_text().replace("1.0", "2.0"))
    with pytest.raises(StoreError, match=r"edited or damaged.*Fix: run the command"):
        read_card(tmp_path / "net")


def test_a_product_with_unreadable_bookkeeping_is_not_done(tmp_path: Path):
    product = made(tmp_path / "net")
    (tmp_path / "net/result.json").write_text("[]")
    assert not product.is_done()
    (tmp_path / "net/key.json").write_text("{")
    assert started(tmp_path / "net", "k1") == {"key.json", "lock"}
