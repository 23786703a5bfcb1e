"""A job under a memory limit, and its greedy version that holds all data in memory.

    python -m tests.faults.hungry JOB SMALL LARGE GROUP

runs the job on a small folder, which loads everything that does not depend on the number of images;
enters the memory group, which counts memory from then on; runs the job on a large folder; then runs
the greedy version there.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from kc.activations import record_networks
from kc.consistency import fit as fit_features
from kc.consistency.component_store import kept_of
from kc.consistency.data import pair_up
from kc.consistency.evaluate import evaluate
from kc.consistency.products import fit_pairs
from kc.plans.products import FitPlan, NetworkPlan
from kc.runtime import use_threads
from kc.settings.feature_maps import Activations
from kc.settings.reconstruction import Consistency, Optimiser
from kc.store import open_store
from kc.store.part import Destination

CPU = torch.device("cpu")
NODE = "relu"
A, B = (NetworkPlan("birds", "resnet18", seed) for seed in (0, 1))
STREAMED, ALL = 1e-9, 100.0
"""Gigabytes of features that may be held in memory: none, or any."""


def record(room: Path, shard_rows: int = 32) -> None:
    images = open_store(room / "images.zarr")
    settings = Activations(shard_rows=shard_rows, batch_size=16, dtype="float32")
    record_networks({A.name: room / A.name}, [NODE], images, settings, room / "recorded", CPU)


def record_one_shard(room: Path) -> None:
    record(room, len(open_store(room / "images.zarr")["image"]))


def fit(room: Path, memory_gb: float = STREAMED) -> None:
    """Fit on the training images and evaluate on all images."""
    once = Optimiser(epochs=1, closed_form_start=False)
    settings = Consistency(order=1, kernel_size=1, memory_gb=memory_gb, optimiser=once)
    stores = {plan.name: room / f"{plan.name}.json" for plan in (A, B)}
    out = room / f"held-{memory_gb}"
    fit_pairs([FitPlan(A, B, NODE, NODE)], stores, settings, 0, out, CPU)


def fit_held(room: Path) -> None:
    fit(room, ALL)


def decompose(room: Path, memory_gb: float = STREAMED) -> None:
    """Decompose all images with a fit on random features, and store the components."""
    source, target = (open_store(room / f"{plan.name}.json") for plan in (A, B))
    shape = source[NODE].shape[1:]
    some = torch.randn(2, 32, *shape, generator=torch.Generator().manual_seed(0))
    once = Optimiser(epochs=1)
    result = fit_features(some[0], some[1], order=1, kernel_size=1, optimiser=once)
    settings = Consistency(order=1, components="all")
    out = Destination(room / f"held-{memory_gb}")
    kept = kept_of(FitPlan(A, B, NODE, NODE, keep=True), settings, "k", target[NODE], out)
    pair = pair_up(source[NODE], target[NODE], CPU, 32, memory_gb)
    evaluate(result, pair, {}, kept)


def decompose_held(room: Path) -> None:
    decompose(room, ALL)


def read(room: Path) -> None:
    """Compare the layers through dask."""
    a, b = (open_store(room / f"{plan.name}.json")[NODE].to_xarray() for plan in (A, B))
    power = ((a.astype("float32") - b.astype("float32")) ** 2).mean(["image", "y", "x"])
    np.save(room / "power.npy", power.compute(scheduler="sync"))


def read_whole(room: Path) -> None:
    a, b = (open_store(room / f"{plan.name}.json")[NODE][:] for plan in (A, B))
    np.save(room / "power.npy", ((a.astype("f4") - b.astype("f4")) ** 2).mean((0, 2, 3)))


JOBS: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    "record": (record, record_one_shard),
    "fit": (fit, fit_held),
    "decompose": (decompose, decompose_held),
    "read": (read, read_whole),
}

if __name__ == "__main__":
    use_threads(1)
    job, greedy = JOBS[sys.argv[1]]
    small, large, group = map(Path, sys.argv[2:])
    for each in (job, greedy):
        each(small)
    (group / "cgroup.procs").write_text(str(os.getpid()))
    job(large)
    (large / f"{sys.argv[1]}-done").touch()
    greedy(large)
