"""Stores in a bucket of an S3 server (moto) have the same guarantees as in a folder."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import obstore
import pandas as pd
import pytest
from obstore.store import S3Store
from typer.testing import CliRunner

from kc.cli.main import app
from kc.errors import StoreError
from kc.store import ArraySpec, StoreContent, StoreWriter, open_store
from kc.store.place import place_of

ROWS, SHARD = 22, 8
VALUES = np.random.default_rng(0).normal(2, 3, (ROWS, 3, 4, 4)).astype(np.float32)
DROP_IN = """
import sys, time
sys.path.insert(0, {tests!r})
from test_bucket import VALUES, writer
with writer(sys.argv[1], sys.argv[2]) as store:
    print("in", flush=True)
    for shard in store.missing():
        store.write(shard, {{"conv": VALUES[store.rows(shard)]}})
        print(shard, flush=True)
        time.sleep(float(sys.argv[3]))
    time.sleep(10 * float(sys.argv[3]))
    store.finish()
"""


def writer(path, root, key="k"):
    spec = ArraySpec("conv", ("image", "channel", "y", "x"), VALUES.shape, "float32", True)
    rows = pd.DataFrame({"image_id": [f"{i:03d}.jpg" for i in range(ROWS)]})
    rows["label"] = np.arange(ROWS) % 3
    return StoreWriter(
        path, key, StoreContent([spec], rows, SHARD), mend="make it again", root=root
    )


def fill(path, root, **options):
    with writer(path, root, **options) as store:
        for shard in store.missing():
            store.write(shard, {"conv": VALUES[store.rows(shard)]})
        store.finish()
    return path.with_suffix(".json")


def objects(url):
    client = S3Store.from_url(url)
    listed = obstore.list(client).collect()
    return {each["path"]: bytes(obstore.get(client, each["path"]).bytes()) for each in listed}


def start(path, root, pause):
    code = DROP_IN.format(tests=os.path.dirname(__file__))  # noqa: PTH120
    command = [sys.executable, "-c", code, str(path), root, str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_store_in_a_bucket_reads_as_one_in_a_folder(tmp_path, bucket):
    local = fill(tmp_path / "b.zarr", "")
    manifest = fill(tmp_path / "a.zarr", bucket)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("a.")] == ["a.json"]
    for path in (manifest, tmp_path / "a.zarr", f"{bucket}/a.zarr", f"{bucket}/a.json"):
        store = open_store(path)
        assert store.digest == open_store(local).digest
        np.testing.assert_array_equal(store["conv"][5:19], VALUES[5:19])
        np.testing.assert_array_equal(store["conv"][np.array([21, 0, 9])], VALUES[[21, 0, 9]])
        np.testing.assert_allclose(store["conv"].mean, VALUES.astype(float).mean(), rtol=1e-12)
        assert store.verify() == []
    np.testing.assert_array_equal(open_store(manifest)["conv"].to_xarray().values, VALUES)
    kept = {name: content for name, content in objects(bucket).items() if ".zarr/" in name}
    files = [p for p in (tmp_path / "b.zarr").rglob("*") if p.is_file()]
    named = {f"a.zarr/{p.relative_to(tmp_path / 'b.zarr')}": p.read_bytes() for p in files}
    assert kept == named


def test_the_root_may_be_another_folder(tmp_path):
    manifest = fill(tmp_path / "results" / "a.zarr", str(tmp_path / "scratch"))
    assert [p.name for p in (tmp_path / "results").iterdir()] == ["a.json"]
    assert open_store(manifest).path == str(tmp_path / "scratch" / "a.zarr")
    np.testing.assert_array_equal(open_store(manifest)["conv"][:], VALUES)


@pytest.mark.parametrize("damage", ["flip", "cut", "delete", "swap"])
def test_damage_in_a_bucket_is_found_and_repaired(tmp_path, bucket, damage):
    manifest = fill(tmp_path / "a.zarr", bucket)
    undisturbed, place = objects(bucket), place_of(bucket)
    name, other = (f"a.zarr/conv/c/{n}/0/0/0" for n in (1, 0))
    content = undisturbed[name]
    if damage == "flip":
        place.write(name, content[:50] + bytes([content[50] ^ 4]) + content[51:])
    elif damage == "cut":
        place.write(name, content[:-7])
    elif damage == "delete":
        place.delete(name)
    else:
        place.write(name, undisturbed[other])
        place.write(other, content)
    found = CliRunner().invoke(app, ["store", "verify", f"{bucket}/a.zarr"])
    assert found.exit_code == 1
    assert f"{bucket}/{name}: shard 1 of 'conv' (image rows 8 to 15)" in found.output
    with pytest.raises(StoreError, match=r"shard 1 of 'conv' \(image rows 8 to 15\)"):
        open_store(manifest)["conv"][10:12]
    with writer(tmp_path / "a.zarr", bucket) as store:
        assert store.missing() == ([0, 1] if damage == "swap" else [1])
    fill(tmp_path / "a.zarr", bucket)
    assert objects(bucket) == undisturbed
    shown = CliRunner().invoke(app, ["store", "info", f"{bucket}/a.zarr"])
    assert f"{bucket}/a.zarr: {ROWS} images" in shown.output


def test_after_a_killed_writer_the_finished_store_is_identical_in_the_bucket(tmp_path, bucket):
    fill(tmp_path / "a.zarr", f"{bucket}/whole")
    dice, kills = random.Random(1), 0
    for _ in range(3):
        process = start(tmp_path / "a.zarr", f"{bucket}/killed", 0.3)
        assert process.stdout.readline() == "in\n", process.stderr.read()
        time.sleep(dice.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills == 3
    left = place_of(f"{bucket}/killed").names("a.state/owners")
    assert left  # a killed process does not release its lock; it is taken over
    fill(tmp_path / "a.zarr", f"{bucket}/killed")
    assert objects(f"{bucket}/killed") == objects(f"{bucket}/whole")


def test_a_second_writer_is_refused_by_name_of_the_first(tmp_path, bucket):
    first = start(tmp_path / "a.zarr", bucket, 30)
    assert first.stdout.readline() == "in\n", first.stderr.read()
    try:
        with (
            pytest.raises(StoreError, match=rf"a.state/owners/0-3.*process {first.pid} on host"),
            writer(tmp_path / "a.zarr", bucket),
        ):
            pass
    finally:
        first.kill()
        first.communicate()
    with writer(tmp_path / "a.zarr", bucket) as store:
        assert 2 in store.missing()


def test_an_owner_on_another_machine_does_not_count_as_dead_too_soon(tmp_path, bucket):
    fill(tmp_path / "a.zarr", bucket)
    place, name = place_of(bucket), "a.state/owners/0-3"
    place.write(name, json.dumps({"host": "elsewhere", "pid": 7, "slurm_job": "12"}).encode())
    with (
        pytest.raises(StoreError, match=r"process 7 on host elsewhere, SLURM job 12.*0 min ago"),
        writer(tmp_path / "a.zarr", bucket),
    ):
        pass
    assert place.has(name)


def test_a_lock_taken_over_is_not_released_by_its_old_owner(bucket):
    place = place_of(bucket)
    lock = place.lock("lock")
    with pytest.raises(StoreError, match="another process writes here"):
        place.lock("lock")
    place.write("lock", b"{}")
    lock.close()
    assert place.read("lock") == b"{}"
    place.lock("lock").close()
    assert not place.has("lock")


def test_errors_of_the_service_are_one_clear_error(tmp_path, bucket, monkeypatch):
    with (
        pytest.raises(StoreError, match="no such bucket"),
        writer(tmp_path / "a.zarr", "s3://none/x"),
    ):
        pass
    with pytest.raises(StoreError, match="the store is not there"):
        open_store(f"{bucket}/none.zarr")
