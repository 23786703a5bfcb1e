import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from kc.errors import FeatureError, StoreError
from kc.store import ArraySpec, StoreContent, StoreWriter, check_same_images, open_store
from kc.store.files import write_json_atomic

ROWS, SHARD = 22, 8
VALUES = np.random.default_rng(0).normal(2, 3, (ROWS, 3, 4, 4)).astype(np.float32)


def coordinates(rows=ROWS, order=1):
    ids = [f"bird/{i:03d}.jpg" for i in range(rows)][::order]
    return pd.DataFrame({"image_id": ids, "label": np.arange(rows) % 3})


def writer(path, key="k", dtype="float32", order=1, statistics=True):
    spec = ArraySpec("conv", ("image", "channel", "y", "x"), VALUES.shape, dtype, statistics)
    return StoreWriter(
        path, key, StoreContent([spec], coordinates(order=order), SHARD), mend="make it again"
    )


def fill(path, values=VALUES, pause=0.0, **options):
    with writer(path, **options) as store:
        for shard in store.missing():
            store.write(shard, {"conv": values[store.rows(shard)]})
            time.sleep(pause)
        store.finish()
    return path


def files(path):
    return {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def shard_file(path, shard):
    return path / "conv" / "c" / str(shard) / "0" / "0" / "0"


def test_written_values_are_read_by_slice_index_and_mask(tmp_path):
    array = open_store(fill(tmp_path / "a.zarr"))["conv"]
    np.testing.assert_array_equal(array[5:19], VALUES[5:19])
    np.testing.assert_array_equal(array[np.array([21, 0, 9, 9])], VALUES[[21, 0, 9, 9]])
    np.testing.assert_array_equal(array[np.arange(ROWS) % 2 == 0], VALUES[::2])
    np.testing.assert_array_equal(array[7], VALUES[7])


def test_statistics_equal_those_of_numpy(tmp_path):
    array = open_store(fill(tmp_path / "a.zarr"))["conv"]
    np.testing.assert_allclose(array.mean, VALUES.astype(float).mean(), rtol=1e-12)
    np.testing.assert_allclose(array.std, VALUES.astype(float).std(), rtol=1e-12)
    channels = VALUES.astype(float).std(axis=(0, 2, 3))
    statistics = array.store.manifest["arrays"]["conv"]["statistics"]
    np.testing.assert_allclose(statistics["channel_std"], channels, rtol=1e-12)


def test_bfloat16_values_are_kept_exactly(tmp_path):
    array = open_store(fill(tmp_path / "a.zarr", dtype="bfloat16"))["conv"]
    assert array.dtype == np.float32
    np.testing.assert_allclose(array[:], VALUES, rtol=2**-8)
    assert not np.array_equal(array[:], VALUES)


@pytest.mark.filterwarnings("ignore:Object at .* is not recognized")
def test_xarray_opens_a_store_with_its_coordinates(tmp_path):
    path = fill(tmp_path / "a.zarr")
    with xr.open_zarr(path, consolidated=False) as data:
        assert list(data["image_id"].values) == list(coordinates()["image_id"])
    lazy = open_store(path)["conv"].to_xarray()
    assert lazy.dims == ("image", "channel", "y", "x")
    assert lazy.chunks[0][0] == SHARD
    np.testing.assert_array_equal(lazy.values, VALUES)


def test_another_key_starts_empty_without_old_data(tmp_path):
    path = tmp_path / "a.zarr"
    with writer(path, key="old") as store:
        store.write(0, {"conv": VALUES[:SHARD] * 0})
    with writer(path, key="new") as store:
        assert store.missing() == [0, 1, 2]
    np.testing.assert_array_equal(open_store(fill(path, key="new"))["conv"][:], VALUES)


def test_existing_shards_are_checked_and_only_damaged_ones_written_again(tmp_path):
    path = fill(tmp_path / "a.zarr")
    undisturbed = files(path)
    file = shard_file(path, 1)
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    with writer(path) as store:
        assert store.missing() == [1]
    fill(path)
    assert files(path) == undisturbed


@pytest.mark.parametrize("damage", ["flip", "cut", "delete", "swap"])
def test_damage_is_found_and_named_by_verify_and_by_the_reader(tmp_path, damage):
    path = fill(tmp_path / "a.zarr")
    file, other = shard_file(path, 1), shard_file(path, 0)
    content = file.read_bytes()
    if damage == "flip":
        file.write_bytes(content[:50] + bytes([content[50] ^ 4]) + content[51:])
    elif damage == "cut":
        file.write_bytes(content[:-7])
    elif damage == "delete":
        file.unlink()
    else:
        file.write_bytes(other.read_bytes())
        other.write_bytes(content)
    found = open_store(path).verify()
    assert len(found) == (2 if damage == "swap" else 1)
    assert "image rows 8 to 15" in found[-1]
    assert "make it again" in found[-1]
    with pytest.raises(StoreError, match=r"shard 1 of 'conv' \(image rows 8 to 15\)"):
        open_store(path)["conv"][10:12]
    with pytest.raises(StoreError, match=r"shard 1 of 'conv' \(image rows 8 to 15\)"):
        open_store(path)["conv"][8:16]
    if damage != "swap":
        np.testing.assert_array_equal(open_store(path)["conv"][:8], VALUES[:8])


def test_an_edited_manifest_is_refused(tmp_path):
    path = fill(tmp_path / "a.zarr")
    manifest = json.loads(path.with_suffix(".json").read_text())
    manifest["rows"] = 21
    write_json_atomic(path.with_suffix(".json"), manifest)
    with pytest.raises(StoreError, match="edited or damaged"):
        open_store(path)


def test_a_damaged_coordinate_is_refused(tmp_path):
    path = fill(tmp_path / "a.zarr")
    (path / "label" / "c" / "0").write_bytes(b"x")
    with pytest.raises(StoreError, match="coordinate 'label'"):
        open_store(path)


def test_a_store_without_a_manifest_is_unfinished(tmp_path):
    with writer(tmp_path / "a.zarr") as store, pytest.raises(StoreError, match="not written"):
        store.finish()
    with pytest.raises(StoreError, match="unfinished: it has no manifest"):
        open_store(tmp_path / "a.zarr")


def test_rows_in_another_order_are_refused(tmp_path):
    a, b = fill(tmp_path / "a.zarr"), fill(tmp_path / "b.zarr", order=-1)
    check_same_images(open_store(a), open_store(a))
    with pytest.raises(StoreError, match=r"first difference at row 0: bird/000.jpg / bird/021"):
        check_same_images(open_store(a)["conv"], open_store(b)["conv"])


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_nan_is_refused_and_names_the_image(tmp_path, dtype, value, statistics):
    values = VALUES.copy()
    values[9, 0, 0, 0] = value
    with pytest.raises(FeatureError, match=r"bird/009.jpg \(row 9\) is not finite"):
        fill(tmp_path / "a.zarr", values, dtype=dtype, statistics=statistics)


def test_values_whose_sum_is_too_large_are_kept(tmp_path):
    values = VALUES.astype(np.float64) + 1e308
    array = open_store(fill(tmp_path / "a.zarr", values, dtype="float64", statistics=False))
    np.testing.assert_array_equal(array["conv"][:], values)


def test_overflow_is_an_error_with_float32_as_its_fix(tmp_path):
    with pytest.raises(FeatureError, match=r"overflows float16.*float32"):
        fill(tmp_path / "a.zarr", VALUES * 1e5, dtype="float16")


def test_a_second_writer_is_refused_by_name_of_the_first(tmp_path):
    with (
        writer(tmp_path / "a.zarr"),
        pytest.raises(StoreError, match=f"process {os.getpid()} on host"),
        writer(tmp_path / "a.zarr"),
    ):
        pass


def test_a_full_disk_damages_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a.zarr"

    def full(*_):
        raise OSError(28, "No space left on device")

    with writer(path) as store:
        store.write(0, {"conv": VALUES[:SHARD]})
        with monkeypatch.context() as patch:
            patch.setattr("kc.store.place.write_bytes_atomic", full)
            with pytest.raises(StoreError, match="no space left"):
                store.write(1, {"conv": VALUES[SHARD : 2 * SHARD]})
        assert store.missing() == [1, 2]
    np.testing.assert_array_equal(open_store(fill(path))["conv"][:], VALUES)


def test_ids_must_be_unique(tmp_path):
    twice = coordinates()
    twice.loc[1, "image_id"] = twice.loc[0, "image_id"]
    spec = ArraySpec("conv", ("image",), (ROWS,), "float32")
    with pytest.raises(StoreError, match="appears twice"):
        StoreWriter(tmp_path / "a.zarr", "k", StoreContent([spec], twice, SHARD))


def test_two_arrays_of_one_name_are_refused(tmp_path):
    for names in (["label"], ["image_id"], ["conv", "conv"]):
        specs = [ArraySpec(name, ("image",), (ROWS,), "float32") for name in names]
        with pytest.raises(StoreError, match=rf"two arrays .* '{names[0]}': .*Fix: another"):
            StoreWriter(tmp_path / "a.zarr", "k", StoreContent(specs, coordinates(), SHARD))
    assert not list(tmp_path.iterdir())


def test_after_a_killed_writer_the_finished_store_is_byte_identical(tmp_path):
    undisturbed = files(fill(tmp_path / "whole.zarr"))
    path = tmp_path / "killed.zarr"
    context = multiprocessing.get_context("fork")
    dice = random.Random(1)
    for _ in range(8):
        process = context.Process(target=fill, args=(path, VALUES, 0.02))
        process.start()
        time.sleep(dice.uniform(0.01, 0.12))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    fill(path)
    assert files(path) == undisturbed


def test_all_files_of_a_manifest_are_on_the_disk_before_it(tmp_path, monkeypatch):
    """Include shards of an earlier writer, and the names in all folders."""
    with writer(tmp_path / "a.zarr") as store:
        store.write(0, {"conv": VALUES[store.rows(0)]})
    synced, manifests = set(), []
    real = os.fsync

    def fsync(opened):
        path = Path(f"/proc/self/fd/{opened}").readlink()
        synced.add(path)
        if path.name.startswith(".a.json"):
            manifests.append(set(synced))
        real(opened)

    monkeypatch.setattr(os, "fsync", fsync)
    fill(tmp_path / "a.zarr")
    root = tmp_path / "a.zarr"
    promised = set(root.rglob("*"))
    assert {shard_file(root, shard) for shard in range(3)} <= promised
    assert {root, *promised} <= manifests[0]


def test_a_writer_whose_lock_was_taken_over_writes_no_shard(tmp_path):
    with writer(tmp_path / "a.zarr") as store:
        store.write(0, {"conv": VALUES[store.rows(0)]})
        (owner,) = (tmp_path / "a.state" / "owners").iterdir()
        owner.write_text('{"host": "elsewhere", "pid": 1}')
        with pytest.raises(StoreError, match="taken over by another process"):
            store.write(1, {"conv": VALUES[store.rows(1)]})
        assert not shard_file(tmp_path / "a.zarr", 1).exists()
        with pytest.raises(StoreError, match="not written"):
            store.finish()
    assert not (tmp_path / "a.json").exists()
