"""Complete shards read without zarr give the same values and errors as with zarr."""

import os

import numpy as np
import pandas as pd
import pytest
import zarr

from kc.errors import StoreError
from kc.store import ArraySpec, StoreContent, StoreWriter, open_store
from kc.store import writer as writer_module
from kc.store.files import read_json
from kc.store.plain_shard import PlainShards, plain_shards

ROWS, SHARD = 109, 48  # three chunks per shard; the last shard has one full and one partial chunk


def write(path, dtype="float32", compressor="none", dims=("image", "channel")):
    shape = tuple(ROWS if name == "image" else 6 for name in dims)
    values = np.random.default_rng(0).normal(0, 3, shape).astype(np.float32)
    spec = ArraySpec("a", dims, shape, dtype)
    rows = pd.DataFrame({"image_id": [f"{i}" for i in range(ROWS)]})
    with StoreWriter(path, "k", StoreContent([spec], rows, SHARD, compressor)) as writer:
        for shard in writer.missing():
            where = (*([slice(None)] * spec.row_axis), writer.rows(shard))
            writer.write(shard, {"a": values[where]})
        writer.finish()
    return path


def shards(path, row_axis=0):
    return plain_shards(zarr.open_array(path / "a", mode="r"), row_axis)


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16", "uint8", "bool"])
def test_complete_shards_are_read_as_zarr_reads_them(tmp_path, dtype):
    path = write(tmp_path / "a.zarr", dtype)
    assert shards(path) is not None
    array, parts = open_store(path)["a"], open_store(path)["a"]
    # no slice of the second one is a complete shard, so zarr reads it
    expected = np.concatenate([parts[i : i + 1] for i in range(ROWS)])
    for rows in (slice(0, 48), slice(48, 96), slice(96, 109), slice(0, 109), slice(48, 109)):
        found = array[rows]
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected[rows])
        found[:] = 0  # a separate copy


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16", "uint8", "bool"])
@pytest.mark.parametrize("dims", [("image", "channel"), ("part", "image", "channel"), ("image",)])
def test_shards_written_without_zarr_have_the_same_bytes(tmp_path, dtype, dims, monkeypatch):
    ours = write(tmp_path / "ours.zarr", dtype, dims=dims)
    monkeypatch.setattr(writer_module, "plain_shards", lambda *_: None)
    zarrs = write(tmp_path / "zarrs.zarr", dtype, dims=dims)
    files = [file for file in sorted(zarrs.rglob("*")) if file.is_file()]
    assert len(files) > 3
    for file in files:
        assert (ours / file.relative_to(zarrs)).read_bytes() == file.read_bytes()
    manifests = [read_json(path.with_suffix(".json")) for path in (ours, zarrs)]
    assert manifests[0]["arrays"] == manifests[1]["arrays"]


def test_a_shard_that_cannot_be_written_leaves_nothing(tmp_path):
    layout = PlainShards(0, 3, 16, 16 * 4)

    def blocks():
        yield np.zeros(16, np.float32)
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="no space left on the disk"):
        layout.write(tmp_path / "c" / "0", blocks())
    assert list((tmp_path / "c").iterdir()) == []


@pytest.mark.parametrize(
    ("compressor", "dims"),
    [("lz4", ("image", "channel")), ("zstd", ("image", "channel")), ("none", ("part", "image"))],
)
def test_other_layouts_are_read_by_zarr(tmp_path, compressor, dims):
    path = write(tmp_path / "a.zarr", compressor=compressor, dims=dims)
    assert (shards(path, dims.index("image")) is None) == (compressor != "none")
    whole, array = open_store(path)["a"][:], open_store(path)["a"]
    one_by_one = [array[i : i + 1] for i in range(ROWS)]
    np.testing.assert_array_equal(whole, np.concatenate(one_by_one, axis=dims.index("image")))


@pytest.mark.parametrize(
    ("dtype", "compressor"),
    [("float32", "none"), ("float16", "lz4"), ("bfloat16", "none")],
)
def test_rows_are_read_into_a_given_array(tmp_path, dtype, compressor):
    array = open_store(write(tmp_path / "a.zarr", dtype, compressor))["a"]
    expected = array[:]
    room = np.full((ROWS + 2, 6), 7, array.dtype)
    for start, stop in ((0, 48), (48, 109), (3, 50)):
        found = array.read(slice(start, stop), room[1 : 1 + stop - start])
        assert np.shares_memory(found, room)
        np.testing.assert_array_equal(room[1 : 1 + stop - start], expected[start:stop])
    assert (room[[0, -1]] == 7).all()
    strided = np.empty((48, 12), array.dtype)[:, ::2]
    np.testing.assert_array_equal(array.read(slice(0, 48), strided), expected[:48])


def test_a_file_cut_short_while_it_is_open_is_an_error(tmp_path, monkeypatch):
    path = write(tmp_path / "a.zarr")
    array, file = open_store(path)["a"], path / "a" / "c" / "0" / "0"
    behind = PlainShards._behind

    def cut(self, opened, used, stride):
        found = behind(self, opened, used, stride)
        os.truncate(file, stride)
        return found

    monkeypatch.setattr(PlainShards, "_behind", cut)
    with pytest.raises(StoreError, match=r"shard 0 of 'a' .* is damaged"):
        array[:48]


def test_a_shard_is_hashed_once_and_found_damaged_at_the_first_reading(tmp_path, monkeypatch):
    path = write(tmp_path / "a.zarr")
    asked = []
    read = PlainShards.read

    def listen(self, file, out, hashed):
        asked.append(hashed)
        return read(self, file, out, hashed)

    monkeypatch.setattr(PlainShards, "read", listen)
    array = open_store(path)["a"]
    _ = array[:48], array[:48]
    assert asked == [True, False]
    file = path / "a" / "c" / "2" / "0"
    for position in (0, 16 * 24 + 2, -30):  # a value, a chunk's CRC, the index
        content = bytearray(file.read_bytes())
        content[position] ^= 1
        file.write_bytes(content)
        with pytest.raises(StoreError, match=r"shard 2 of 'a' \(image rows 96 to 108\) is damaged"):
            open_store(path)["a"][96:109]
        content[position] ^= 1
        file.write_bytes(content)
    assert open_store(path)["a"][96:109].any()


def test_chunks_in_another_order_are_not_read_as_rows(tmp_path):
    path = write(tmp_path / "a.zarr")
    file = path / "a" / "c" / "0" / "0"
    content = bytearray(file.read_bytes())
    first, second = slice(-52, -36), slice(-36, -20)  # entries of the index
    content[first], content[second] = content[second], content[first]
    file.write_bytes(content)
    layout = shards(path)
    assert layout is not None
    with pytest.raises(ValueError, match="do not lie in order"):
        layout.read(file, np.empty((48, 6), np.float32), hashed=False)
