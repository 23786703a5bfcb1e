"""A second writer is refused, with the name of the first, unless the first is dead."""

import errno
import json
import multiprocessing
import os
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kc.errors import StoreError
from kc.store import ArraySpec, StoreContent, StoreWriter
from kc.store import lock as locks
from kc.store.lock import lock
from kc.store.product import Product

FORK = multiprocessing.get_context("fork")
HERE = socket.gethostname()


def writer(path: Path) -> StoreWriter:
    rows = pd.DataFrame({"image_id": [f"{n}" for n in range(4)]})
    return StoreWriter(
        path, "k", StoreContent([ArraySpec("a", ("image",), (4,), "float32")], rows, 2)
    )


def write_and_wait(path: Path, told) -> None:
    os.environ["SLURM_JOB_ID"] = "77"
    with writer(path) as store:
        store.write(0, {"a": np.zeros(2, np.float32)})
        told.set()
        time.sleep(60)


@pytest.fixture
def first(tmp_path: Path):
    """Start a process that writes a store."""
    told = FORK.Event()
    process = FORK.Process(target=write_and_wait, args=(tmp_path / "a.zarr", told))
    process.start()
    assert told.wait(30)
    yield tmp_path / "a.zarr", process
    process.kill()
    process.join()


def test_a_second_process_is_refused_and_the_message_names_the_first(first):
    path, process = first
    wanted = rf"process {process.pid} on host {HERE}, SLURM job 77\)\. Fix: wait for it"
    with pytest.raises(StoreError, match=wanted), writer(path):
        pass


def test_a_killed_writers_store_is_taken_over(first):
    path, process = first
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with writer(path) as store:
        assert store.missing() == [1]


def left(path: Path, **about: object) -> Path:
    """Write the lock of an owner that did not release it."""
    owner = {"host": "elsewhere", "pid": 12, "slurm_job": "34"} | about
    path.write_text(json.dumps(owner))
    return path


def test_a_lock_of_another_host_is_explained_with_its_fix(tmp_path: Path):
    file = left(tmp_path / "lock")
    wanted = (
        r"process 12 on host elsewhere, SLURM job 34\) did not release this lock.*"
        rf"0 min ago.*kc on {HERE}.*Fix: .*on elsewhere: ps -p 12; squeue\), .*: rm .*lock"
    )
    with pytest.raises(StoreError, match=wanted):
        lock(file)
    file.unlink()
    lock(file).close()
    assert file.read_bytes() == b""


def test_a_lock_of_another_host_is_taken_over_after_a_long_silence(tmp_path: Path):
    file, now = left(tmp_path / "lock"), time.time()
    os.utime(file, (now, now - locks.SILENCE + 60))
    with pytest.raises(StoreError, match="14 min ago"):
        lock(file)
    os.utime(file, (now, now - locks.SILENCE - 1))
    lock(file).close()


def test_a_job_that_slurm_restarted_on_another_host_takes_over_its_own_lock(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "35")
    with pytest.raises(StoreError, match="did not release this lock"):
        lock(left(tmp_path / "lock"))
    monkeypatch.setenv("SLURM_JOB_ID", "34")
    # the same job on two machines at a time: SLURM restarted nothing
    for restarts in (None, "0"):
        if restarts is not None:
            monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
        with pytest.raises(StoreError, match="did not release this lock"):
            lock(left(tmp_path / "lock"))
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    with pytest.raises(StoreError, match="did not release this lock"):
        lock(left(tmp_path / "lock", slurm_restart="1"))
    lock(left(tmp_path / "lock")).close()
    lock(left(tmp_path / "lock", slurm_restart="0")).close()


def test_an_owner_keeps_updating_its_lock(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(locks, "PULSE", 0.01)
    file = tmp_path / "lock"
    held = lock(file)
    os.utime(file, (0, 0))
    deadline = time.monotonic() + 20
    while file.stat().st_mtime < 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert file.stat().st_mtime > 1
    held.close()
    os.utime(file, (0, 0))
    time.sleep(0.1)
    assert file.stat().st_mtime == 0


def test_without_locks_of_the_file_system_the_process_of_the_owner_decides(tmp_path, monkeypatch):
    def unknown(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", unknown)
    file = tmp_path / "lock"
    with pytest.raises(StoreError, match=f"another process writes here.*{os.getpid()}"):
        lock(left(file, host=HERE, pid=os.getpid()))
    dead = FORK.Process(target=time.sleep, args=(0,))
    dead.start()
    dead.join()
    lock(left(file, host=HERE, pid=dead.pid)).close()


def test_a_second_process_cannot_write_a_folder_of_weights(tmp_path: Path):
    told = FORK.Event()
    process = FORK.Process(target=make_and_wait, args=(tmp_path / "net", told))
    process.start()
    assert told.wait(30)
    product = Product(tmp_path / "net", "k")
    with pytest.raises(StoreError, match=f"process {process.pid} on host"), product:
        pass
    process.kill()
    process.join()
    with product:
        assert not product.is_done()


def make_and_wait(folder: Path, told) -> None:
    with Product(folder, "k") as product:
        product.start()
        told.set()
        time.sleep(60)
