"""zarr arrays of others: no code in them is run, and no file outside is read."""

import json
import os
import pickle
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr

from kc.errors import StoreError
from kc.store.foreign import open_foreign

X = np.arange(40.0, dtype=np.float32).reshape(10, 4)


class Harmful:
    """Touches a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def described(path, **changes):
    """Write an array of zarr 2 by hand: its description and one chunk."""
    about = {
        "zarr_format": 2,
        "shape": [10, 4],
        "chunks": [10, 4],
        "dtype": "<f4",
        "compressor": None,
        "fill_value": 0,
        "order": "C",
        "filters": None,
    }
    path.mkdir(parents=True)
    (path / ".zarray").write_text(json.dumps(about | changes))
    (path / "0.0").write_bytes(X.tobytes())
    return path


def of_zarr_3(path, *codecs):
    array = zarr.create_array(path, data=X, compressors=None, filters=None)
    file = path / "zarr.json"
    about = json.loads(file.read_text())
    about["codecs"] = [*about["codecs"], *codecs]
    file.write_text(json.dumps(about))
    return array


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_arrays_written_by_zarr_are_read(tmp_path, zarr_format):
    group = zarr.open_group(tmp_path / "x.zarr", mode="w", zarr_format=zarr_format)
    made = {"plain": {"compressors": None}, "usual": {}, "big": {"chunks": (4, 2)}}
    if zarr_format == 2:
        made["delta"] = {
            "filters": [numcodecs.Delta("f4")],
            "compressors": numcodecs.Blosc("zstd", shuffle=2),
        }
    else:
        made["sharded"] = {"chunks": (2, 4), "shards": (6, 4)}
        made["coded"] = {"compressors": [zarr.codecs.BloscCodec(), zarr.codecs.Crc32cCodec()]}
    for name, about in made.items():
        group.create_array(name, data=X, **about)
    group.create_array("texts", data=np.array(["a", "b"], dtype=np.dtypes.StringDType()))
    found = open_foreign(tmp_path / "x.zarr")
    assert set(found) == {*made, "texts"}
    for name in made:
        np.testing.assert_array_equal(found[name][:], X)
    inner = open_foreign(tmp_path / "x.zarr" / "usual")
    np.testing.assert_array_equal(inner["usual"].oindex[[3, 5]], X[[3, 5]])


PICKLE = {"id": "pickle"}


@pytest.mark.parametrize(
    "changes",
    [
        {"compressor": PICKLE},
        {"filters": [PICKLE]},
        {"filters": [{"id": "delta", "dtype": "<f4"}, PICKLE]},
        {"dtype": "|O", "filters": [PICKLE]},
        {"dtype": "|O", "filters": [{"id": "vlen-utf8"}, PICKLE]},
        {"compressor": {"id": "pickle", "name": "zlib"}},
        {"compressor": {"id": "numcodecs.pickle"}},
        {"filters": PICKLE},
        {"filters": "pickle"},
    ],
)
def test_pickles_are_refused_before_anything_is_read(tmp_path, monkeypatch, changes):
    """The settings of another program may allow zarr to unpickle; kc still refuses."""
    monkeypatch.setattr(numcodecs.pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)
    mark = tmp_path / "ran"
    path = described(tmp_path / "x.zarr", **changes)
    (path / "0.0").write_bytes(pickle.dumps(Harmful(mark)))
    # below a group too
    (tmp_path / "g.zarr").mkdir()
    (tmp_path / "g.zarr/.zgroup").write_text('{"zarr_format": 2}')
    described(tmp_path / "g.zarr/deep/x", **changes)
    for each in (path, tmp_path / "g.zarr"):
        with pytest.raises(
            StoreError,
            match=rf"{each.name}: the codec '\w+' of '.*\.zarray' is not one for numbers; re",
        ):
            open_foreign(each)
    assert not mark.exists()


@pytest.mark.parametrize(
    "codec",
    [
        {"name": "numcodecs.pickle", "configuration": {}},
        {"name": "pickle"},
        "numcodecs.pickle",
        {"name": "numcodecs.zlib", "configuration": {"id": "pickle"}},
        {"name": "sharding_indexed", "configuration": {"codecs": [{"name": "pickle"}]}},
        {"name": "sharding_indexed", "configuration": {"index_codecs": [{"name": "pickle"}]}},
        {"name": "unheard_of"},
    ],
)
def test_codecs_of_zarr_3_are_refused_as_well(tmp_path, codec):
    of_zarr_3(tmp_path / "x.zarr", codec)
    with pytest.raises(
        StoreError, match=r"x\.zarr: the codec '(pickle|unheard_of)' of 'zarr\.json"
    ):
        open_foreign(tmp_path / "x.zarr")


def test_consolidated_metadata_of_a_group_is_not_trusted(tmp_path):
    """Here the consolidated metadata names pickle as the codec of a harmless array."""
    group = zarr.open_group(tmp_path / "x.zarr", mode="w", zarr_format=2)
    group.create_array("good", data=X, compressors=None)
    zarr.consolidate_metadata(tmp_path / "x.zarr", zarr_format=2)
    file = tmp_path / "x.zarr/.zmetadata"
    about = json.loads(file.read_text())
    about["metadata"]["good/.zarray"]["compressor"] = PICKLE
    file.write_text(json.dumps(about))
    found = open_foreign(tmp_path / "x.zarr")
    np.testing.assert_array_equal(found["good"][:], X)


def test_numbers_with_a_codec_for_texts_are_refused(tmp_path):
    for codec in ("json2", "msgpack2", "vlen-utf8"):
        path = described(tmp_path / f"{codec}.zarr", filters=[{"id": codec}])
        with pytest.raises(StoreError, match=rf"the codec '{codec}' of '\.zarray' is not one for"):
            open_foreign(path)


def test_links_out_of_the_folder_are_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(X.tobytes())
    zarr.create_array(tmp_path / "x.zarr", data=X, compressors=None, chunks=(5, 4))
    chunk = tmp_path / "x.zarr/c/1/0"
    before = chunk.rename(tmp_path / "x.zarr/kept")
    for target in (secret, "../../../../secret"):
        chunk.symlink_to(target)
        with pytest.raises(
            StoreError, match=r"c/1/0: a link out of the folder, to .*secret; refus"
        ):
            open_foreign(tmp_path / "x.zarr")
        chunk.unlink()
    # a link inside the folder, and a link to the folder
    chunk.symlink_to("../../kept")
    (tmp_path / "named.zarr").symlink_to(tmp_path / "x.zarr")
    np.testing.assert_array_equal(open_foreign(tmp_path / "named.zarr")["named"][:], X)
    chunk.unlink()
    before.rename(chunk)
    (tmp_path / "x.zarr/c/2").symlink_to(tmp_path)
    with pytest.raises(StoreError, match=r"c/2: a link out of the folder"):
        open_foreign(tmp_path / "x.zarr")
    (tmp_path / "x.zarr/c/2").unlink()
    os.mkfifo(tmp_path / "x.zarr/c/2")
    with pytest.raises(StoreError, match=r"c/2: neither a file nor a folder\. Fix: rm it"):
        open_foreign(tmp_path / "x.zarr")


def test_a_path_that_is_not_zarr_is_refused(tmp_path):
    (tmp_path / "x.zarr").write_bytes(b"PK\x03\x04")
    with pytest.raises(
        StoreError, match=r"x\.zarr: a file, expected the folder of a zarr\. Fix: u"
    ):
        open_foreign(tmp_path / "x.zarr")
    for name, text in (
        ("json", "{"),
        ("list", "[]"),
        ("deep", '{"codecs":' * 5000 + "1" + "}" * 5000),
        ("latin", "\xe9"),
        ("codecs", '{"codecs": 3}'),
    ):
        path = tmp_path / f"{name}.zarr"
        path.mkdir()
        (path / "zarr.json").write_text(text, encoding="latin-1")
        with pytest.raises(StoreError, match=rf"{name}\.zarr: not readable as zarr \(\w+Error: "):
            open_foreign(path)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_nested_groups_are_read(tmp_path, zarr_format):
    group = zarr.open_group(tmp_path / "x.zarr", mode="w", zarr_format=zarr_format)
    group.create_array("a/b/c", data=X)
    group.create_array("d", data=2 * X)
    group.create_group("empty")
    found = open_foreign(tmp_path / "x.zarr")
    assert sorted(found) == ["a/b/c", "d"]
    np.testing.assert_array_equal(found["a/b/c"][:], X)
    np.testing.assert_array_equal(found["d"][:], 2 * X)
