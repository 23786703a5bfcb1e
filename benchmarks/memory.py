"""Row 9: peak memory of recording, streamed fitting and decomposing, by number of images."""

import multiprocessing
import shutil
from argparse import Namespace
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch

from benchmarks.compare import Ratio, Row, Target, as_a_job, main
from benchmarks.made import features, network, pictures, scratch
from kc.activations import record_networks
from kc.consistency import fit
from kc.consistency.component_store import Kept
from kc.consistency.data import pair_up
from kc.consistency.evaluate import evaluate
from kc.settings.feature_maps import Activations
from kc.settings.reconstruction import Optimiser
from kc.store import open_store

Task = Callable[[Path], None]
CPU = torch.device("cpu")
SHAPE = (64, 14, 14)
ORDER = 2
BLOCK_ROWS = 32
"""A buffer of eight such blocks holds fewer than a quarter of the images."""
STREAMED = 1e-9
"""Gigabytes of features that may be held in memory: so few that all are streamed."""


def rows(sizes: Namespace) -> list[Row]:
    found = []
    with scratch() as folder:
        few, many = (_prepare(folder / str(n), n) for n in (sizes.images // 4, sizes.images))
        for name, task, megabytes in (
            ("record", _record, sizes.images * 4 * np.prod(SHAPE) / 1e6),
            ("fit streamed", _fit, sizes.images * 2 * 2 * np.prod(SHAPE) / 1e6),
            ("decompose", _decompose, sizes.images * 4 * (ORDER + 2) * np.prod(SHAPE) / 1e6),
        ):
            values, peaks = [], []
            for _ in range(sizes.repeats):
                small, large = _peak(task, few), _peak(task, many)
                values.append(large / small)
                peaks.append([round(small), round(large)])
            found.append(
                Row(
                    f"9 memory, {name}",
                    f"peak memory of {sizes.images} images",
                    f"{sizes.images // 4} images",
                    Target(at_most=1.1),
                    Ratio(values),
                    {"peaks_mb": peaks, "would_hold_mb": round(float(megabytes))},
                )
            )
    return found


def _prepare(folder: Path, count: int) -> Path:
    folder.mkdir()
    pictures(folder, count)
    network(folder / "network", "resnet18")
    for seed, name in enumerate("ab"):
        features(folder / f"{name}.zarr", count, SHAPE, seed)
    return folder


def _peak(task: Task, folder: Path) -> float:
    """Run a task in a fresh process and return its peak resident memory, MB."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(task, folder, theirs))
    process.start()
    theirs.close()
    peak: float = ours.recv()
    process.join()
    return peak


def _run(task: Task, folder: Path, pipe: Connection) -> None:
    as_a_job()
    task(folder)
    # VmHWM is of this process alone; ru_maxrss starts with the memory of the parent
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    pipe.send(int(line.split()[1]) / 1024)


def _record(folder: Path) -> None:
    settings = Activations(batch_size=32, shard_rows=64)
    weights = {"network": folder / "network"}
    out = folder / "recorded"
    images = open_store(folder / "images.zarr")
    record_networks(weights, ["maxpool"], images, settings, out, CPU)
    shutil.rmtree(out)


def _fit(folder: Path) -> None:
    source, target = (open_store(folder / f"{name}.zarr")["feature"] for name in "ab")
    settings = Optimiser(epochs=1)
    fit(source, target, optimiser=settings, memory_gb=STREAMED, block_rows=BLOCK_ROWS)


def _decompose(folder: Path) -> None:
    stores = [open_store(folder / f"{name}.zarr") for name in "ab"]
    source, target = (store["feature"] for store in stores)
    train = np.arange(64)
    settings = Optimiser(epochs=1)
    result = fit(
        source, target, train=train, optimiser=settings, memory_gb=STREAMED, block_rows=BLOCK_ROWS
    )
    everything = np.arange(len(target))
    out = folder / "components"
    kept = Kept(out / "kept.zarr", "k", everything, target, ORDER)
    pair = pair_up(source, target, CPU, BLOCK_ROWS, STREAMED)
    evaluate(result, pair, {"all": everything}, kept)
    shutil.rmtree(out)


if __name__ == "__main__":
    main(rows, images=2048, repeats=1)
