"""A folder of files made together: found again under its key, and only whole."""

from pathlib import Path

import pytest

from kc.store.files import read_json
from kc.store.product import Product, damaged_files


def made(folder: Path, key: str = "k1") -> Product:
    product = Product(folder, key)
    product.start()
    (folder / "weights").write_bytes(b"1234")
    (folder / "history").write_bytes(b"epoch")
    product.finish({"accuracy": 1.0}, ["weights", "history"])
    return product


def test_a_removed_card_comes_back(tmp_path: Path):
    product = made(tmp_path / "net")
    before = (tmp_path / "net/card.json").read_bytes()
    (tmp_path / "net/card.json").unlink()
    assert product.is_done()
    assert (tmp_path / "net/card.json").read_bytes() == before


@pytest.mark.parametrize("name", ["weights", "history"])
def test_a_damaged_file_undoes_it(tmp_path: Path, name: str):
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
    Product(tmp_path / "net", "k1").start()
    assert (tmp_path / "net/state").exists()
    assert not (tmp_path / "net/card.json").exists()
    Product(tmp_path / "net", "k2").start()
    assert sorted(p.name for p in (tmp_path / "net").iterdir()) == ["key.json"]


def test_unreadable_bookkeeping_is_no_product(tmp_path: Path):
    product = made(tmp_path / "net")
    (tmp_path / "net/result.json").write_text("[]")
    assert not product.is_done()
    (tmp_path / "net/key.json").write_text("{")
    product.start()
    assert not (tmp_path / "net/weights").exists()
