"""Row 5: many fits over the same stores, on two cores, against one after the other."""

import shutil
from argparse import Namespace
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby, permutations
from multiprocessing import get_context
from pathlib import Path

import torch

from benchmarks.compare import Row, Target, as_a_job, interleave, main
from benchmarks.made import network, pictures, scratch
from kc.activations import record_networks
from kc.consistency.products import fit_pairs
from kc.names import node_of
from kc.plans.products import FitPlan, NetworkPlan
from kc.settings.feature_maps import Activations
from kc.settings.reconstruction import Consistency, Optimiser

LAYERS = ("conv4_3", "conv5_3")
CPU = torch.device("cpu")


def rows(sizes: Namespace) -> list[Row]:
    networks = [NetworkPlan("noise", "vgg16_bn", seed) for seed in range(sizes.seeds)]
    plans = [FitPlan(a, b, n, n) for a, b in permutations(networks, 2) for n in LAYERS]
    with scratch() as folder:
        _record(networks, folder, sizes.images)
        out = folder / "out"
        jobs = _jobs(plans)
        context = get_context("spawn")
        with ProcessPoolExecutor(2, context, as_a_job) as workers:

            def together() -> None:
                list(workers.map(_fit, jobs, [folder] * len(jobs), [sizes.epochs] * len(jobs)))

            def one_by_one() -> None:
                for plan in plans:
                    _fit([plan], folder, sizes.epochs)

            def pair_by_pair() -> None:
                for job in jobs:
                    _fit(job, folder, sizes.epochs)

            sides = {
                "two processes": together,
                "pair by pair": pair_by_pair,
                "one by one": one_by_one,
            }
            times = interleave(sides, sizes.repeats, lambda: shutil.rmtree(out, ignore_errors=True))
    about = f"{len(plans)} fits over {len(networks)} stores"
    details = {
        "images": sizes.images,
        "epochs": sizes.epochs,
        "jobs": len(jobs),
        "fits_per_second": times.rates(len(plans)),
    }
    return [
        Row(
            "5 many fits",
            f"{about}, two processes of one thread",
            "one after another, each reading its stores",
            Target(at_least=2.0),
            times.ratio("one by one", "two processes"),
            details,
        ),
        Row(
            "5 many fits, one core",
            f"{about}, one process, a pair's fits together",
            "one after another, each reading its stores",
            Target(),
            times.ratio("one by one", "pair by pair"),
        ),
    ]


def _record(networks: list[NetworkPlan], folder: Path, count: int) -> None:
    images = pictures(folder, count)
    weights = {n.name: network(folder / n.name, "vgg16_bn", 1 / 8, n.seed) for n in networks}
    nodes = [node_of("vgg16_bn", layer) for layer in LAYERS]
    record_networks(weights, nodes, images, Activations(), folder / "activations", CPU)


def _jobs(plans: list[FitPlan]) -> list[list[FitPlan]]:
    """Group the fits as the workflow does: one job for each pair of networks."""
    by_pair = groupby(sorted(plans, key=lambda plan: plan.pair), key=lambda plan: plan.pair)
    return [list(members) for _, members in by_pair]


def _fit(plans: list[FitPlan], folder: Path, epochs: int) -> None:
    names = {n.name for plan in plans for n in (plan.source, plan.target)}
    stores = {name: folder / "activations" / f"{name}.zarr" for name in names}
    settings = Consistency(optimiser=Optimiser(epochs=epochs), components="none")
    fit_pairs(plans, stores, settings, 0, folder / "out", CPU)


if __name__ == "__main__":
    main(rows, images=240, seeds=4, epochs=2, repeats=1)
