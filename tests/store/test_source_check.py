"""``kc store verify --sources`` reads the sources of products again."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from kc.cli.main import app
from kc.errors import SourceError
from kc.files.sources import Source
from kc.store import ArraySpec, StoreContent, StoreWriter, open_store
from kc.store.source_check import moved_sources

SPEC = ArraySpec("x", ("image", "unit"), (4, 2), "float32")
ROWS = pd.DataFrame({"image_id": list("abcd")})


def write(path, source, between=lambda: None):
    with StoreWriter(path, "key", StoreContent([SPEC], ROWS, 4, source=source)) as writer:
        for shard in writer.missing():
            writer.write(shard, {"x": np.zeros((4, 2), np.float32)})
        between()
        writer.finish()


@pytest.fixture
def made(tmp_path):
    archive = tmp_path / "birds.tar"
    archive.write_bytes(b"first")
    store = tmp_path / "results" / "images" / "birds.zarr"
    store.parent.mkdir(parents=True)
    write(store, Source.of(archive, records=tmp_path / "results" / "sources"))
    return store, archive


def verify(path):
    found = CliRunner().invoke(app, ["store", "verify", str(path), "--sources"])
    return found.exit_code, found.output


def test_an_unchanged_source_passes(made):
    store, _ = made
    for path in (store, store.with_suffix(".json"), store.parents[1]):
        assert moved_sources(path) == []
    assert verify(store) == (0, f"{store}: undamaged\n")


def test_changed_bytes_with_the_same_times_are_found(made):
    store, archive = made
    about = archive.stat()
    archive.write_bytes(b"other")
    os.utime(archive, ns=(about.st_atime_ns, about.st_mtime_ns))
    code, text = verify(store.parents[1])
    assert code == 1
    assert f"made from {archive}, which has changed (" in text
    assert open_store(store).verify() == []


def test_a_missing_source_is_named(made):
    store, archive = made
    archive.unlink()
    (line,) = moved_sources(store.parents[1])
    assert f"{archive}, which is missing (" in line


def test_pretrained_weights_are_read_too(tmp_path):
    weights = tmp_path / "w.pth"
    weights.write_bytes(b"first")
    about = {"file": str(weights), "digest": Source.of(weights).digest}
    (tmp_path / "net").mkdir()
    (tmp_path / "net/card.json").write_text(json.dumps({"files": {}, "pretrained": about}))
    assert moved_sources(tmp_path / "net") == []
    weights.write_bytes(b"other")
    assert len(moved_sources(tmp_path)) == 1


def test_a_store_is_not_finished_if_its_source_changed_meanwhile(tmp_path):
    archive = tmp_path / "birds.tar"
    archive.write_bytes(b"first")
    store = tmp_path / "birds.zarr"
    with pytest.raises(SourceError, match=r"birds\.tar: changed while it was read"):
        write(store, Source.of(archive), lambda: archive.write_bytes(b"other"))
    assert not store.with_suffix(".json").exists()


def test_the_place_of_the_source_does_not_change_a_store(made, tmp_path):
    store, archive = made
    moved = archive.rename(tmp_path / "moved.tar")
    write(tmp_path / "again.zarr", Source.of(moved))
    assert open_store(tmp_path / "again.zarr").digest == open_store(store).digest
