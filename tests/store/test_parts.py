"""A store written in parts by several owners equals that of a single writer."""

import multiprocessing
import os
import random
import signal
import time

import numpy as np
import pandas as pd
import pytest

from kc.errors import StoreError
from kc.store import ArraySpec, StoreContent, StoreWriter, open_store
from kc.store.part import WHOLE, JobPart

ROWS, SHARD = 30, 4  # 8 shards, the last one smaller
VALUES = np.random.default_rng(0).normal(2, 3, (ROWS, 3, 4, 4)).astype(np.float32)
FORK = multiprocessing.get_context("fork")


def writer(path, part=WHOLE, key="k"):
    spec = ArraySpec("conv", ("image", "channel", "y", "x"), VALUES.shape, "float16", True)
    rows = pd.DataFrame({"image_id": [f"{i:03d}" for i in range(ROWS)], "label": 0})
    return StoreWriter(
        path, key, StoreContent([spec], rows, SHARD), mend="make it again", part=part
    )


def fill(path, part=WHOLE, pause=0.0):
    store = writer(path, part)
    if not store.owned:
        return []
    with store:
        written = store.missing()
        for shard in written:
            store.write(shard, {"conv": VALUES[store.rows(shard)]})
            time.sleep(pause)
        if part == WHOLE:
            store.finish()
    return written


def files(path):
    found = {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}
    return found | {"manifest": path.with_suffix(".json").read_bytes()}


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    path = tmp_path_factory.mktemp("single") / "a.zarr"
    fill(path)
    return files(path)


@pytest.mark.parametrize("of", [1, 2, 3, 5, 8, 11])
def test_every_shard_has_exactly_one_owner(of):
    owned = [shard for number in range(of) for shard in JobPart(number, of).shards(8)]
    assert owned == list(range(8))


@pytest.mark.parametrize("of", [1, 2, 3, 5, 8, 11])
@pytest.mark.parametrize("order", [1, 2])
def test_parts_in_any_order_make_the_store_of_one_writer(tmp_path, single, of, order):
    parts = [JobPart(number, of) for number in range(of)]
    random.Random(order).shuffle(parts)
    for part in parts:
        fill(tmp_path / "a.zarr", part)
    assert fill(tmp_path / "a.zarr") == []
    assert files(tmp_path / "a.zarr") == single


def test_parts_written_at_the_same_time_make_the_store_of_one_writer(tmp_path, single):
    jobs = [FORK.Process(target=fill, args=(tmp_path / "a.zarr", JobPart(n, 4))) for n in range(4)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
        assert job.exitcode == 0
    assert fill(tmp_path / "a.zarr") == []
    assert files(tmp_path / "a.zarr") == single


@pytest.mark.parametrize("seconds", [0.0, 0.03, 0.06, 0.09])
def test_a_part_that_was_killed_and_repeated_changes_nothing(tmp_path, single, seconds):
    path, part = tmp_path / "a.zarr", JobPart(1, 2)
    fill(path, JobPart(0, 2))
    killed = FORK.Process(target=fill, args=(path, part, 0.03))
    killed.start()
    time.sleep(seconds)
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()
    assert fill(path, part)
    assert fill(path) == []
    assert files(path) == single


def test_the_last_job_writes_what_a_part_never_wrote(tmp_path, single):
    fill(tmp_path / "a.zarr", JobPart(0, 3))
    fill(tmp_path / "a.zarr", JobPart(2, 3))
    assert fill(tmp_path / "a.zarr") == list(JobPart(1, 3).shards(8))
    assert files(tmp_path / "a.zarr") == single


@pytest.mark.parametrize(
    ("newcomer", "refused"),
    [
        (JobPart(0, 2), True),
        (WHOLE, True),
        (JobPart(1, 3), True),  # shards 2 to 4, of which 2 and 3 are taken
        (JobPart(1, 2), False),
        (JobPart(2, 3), False),
    ],
)
def test_a_second_owner_of_a_shard_is_refused_and_the_first_is_named(tmp_path, newcomer, refused):
    path = tmp_path / "a.zarr"
    with writer(path, JobPart(0, 2)):
        if refused:
            with (
                pytest.raises(StoreError, match=f"another process writes .* {os.getpid()} on"),
                writer(path, newcomer),
            ):
                pass
        else:
            with writer(path, newcomer) as store:
                assert store.missing()
    with writer(path, newcomer):
        pass


def test_no_writer_of_another_key_empties_the_store_while_a_part_is_written(tmp_path, single):
    path = tmp_path / "a.zarr"
    fill(path, JobPart(0, 2))
    with writer(path, JobPart(1, 2)) as store:
        with (
            pytest.raises(StoreError, match="another process writes"),
            writer(path, JobPart(0, 2), key="other"),
        ):
            pass
        for shard in store.missing():
            store.write(shard, {"conv": VALUES[store.rows(shard)]})
    assert fill(path) == []
    assert files(path) == single
    with writer(path, JobPart(0, 2), key="other") as store:
        assert store.missing() == list(store.owned)


def test_a_part_neither_writes_shards_of_others_nor_finishes(tmp_path):
    with writer(tmp_path / "a.zarr", JobPart(0, 2)) as store:
        with pytest.raises(AssertionError):
            store.write(5, {"conv": VALUES[store.rows(5)]})
        with pytest.raises(AssertionError):
            store.finish()
    with pytest.raises(StoreError, match="unfinished"):
        open_store(tmp_path / "a.zarr")
