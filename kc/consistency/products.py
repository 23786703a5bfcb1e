"""Fits as files: ``fits/<fit>/`` and, where asked for, ``components/<fit>.zarr``."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from kc.consistency.component_store import Kept, kept_of
from kc.consistency.data import Pair, pair_up
from kc.consistency.evaluate import evaluate, write_variances
from kc.consistency.fit import fit
from kc.consistency.net import channels_of
from kc.consistency.order import Rows
from kc.consistency.result import FitResult
from kc.consistency.resume import STATE, Resume
from kc.consistency.saved import FILES, load_fit, save_fit
from kc.consistency.variance import Moments, series
from kc.errors import FeatureError
from kc.images.rows import rows_in
from kc.names import SUBSETS
from kc.plans.products import FitPlan
from kc.provenance import product_key, versions
from kc.runtime import derive_seed
from kc.settings.reconstruction import Consistency
from kc.store import Store, check_same_images, open_store
from kc.store.product import Product

LOG = logging.getLogger(__name__)
RAW_PENALTY = {"alexnet": 8.0}
"""The paper's lambda on raw features; 0.1 for every network not named here."""


def fit_pairs(
    fits: Sequence[FitPlan],
    stores: Mapping[str, Path],
    settings: Consistency,
    seed: int,
    out: Path,
    device: torch.device,
    root: str = "",
) -> None:
    """Fit g for each plan, evaluate it on both subsets, and write what is declared.

    A fit whose key and digest are found is not made again; components are made from it where
    they are missing (in ``root``, if there is one). Layers that fit in ``settings.memory_gb`` are
    read once for all fits.

    Raises
    ------
    StoreError
        Stores of different images.
    FeatureError
        Features g cannot work with.
    """
    opened = {name: open_store(path) for name, path in sorted(stores.items())}
    layers = Layers(opened, settings.memory_gb)
    for plan in sorted(fits, key=lambda plan: (plan.pair, plan.source_node, plan.target_node)):
        source, target = opened[plan.source.name], opened[plan.target.name]
        check_same_images(source, target)
        key = fit_key(plan, settings, seed, source, target)
        kept = kept_of(plan, settings, key, target, out, root)
        with Product(out / "fits" / plan.name, key, FILES) as product:
            if not product.is_done():
                job = Job(plan, settings, seed, device)
                _make(job, product, source, target, layers, kept)
            elif kept is not None and not kept.is_done():
                result = load_fit(product.folder, device)
                pair = layers.pair(plan, device)
                evaluate(result, pair, {}, kept)


class Job:
    """One plan with what it is made under."""

    def __init__(
        self, plan: FitPlan, settings: Consistency, seed: int, device: torch.device
    ) -> None:
        self.plan, self.settings, self.device = plan, settings, device
        self.base_seed = seed
        self.seed = derive_seed("fit", seed, plan.name)

    def penalty(self, target_variance: float) -> float:
        """Give lambda as a number.

        ``raw_equivalent``: the paper's lambda / Var(x*). ``released``: 8.0 for AlexNet, else 0.1.
        """
        raw = RAW_PENALTY.get(self.plan.target.architecture, 0.1)
        if self.settings.preset == "released":
            return raw
        if self.settings.penalty == "raw_equivalent":
            return raw / target_variance
        return float(self.settings.penalty)


class Layers:
    """Stored layers, each read once while the fits that share it follow one another."""

    def __init__(self, stores: Mapping[str, Store], memory_gb: float) -> None:
        self.stores, self.memory_gb = stores, memory_gb
        self.held: dict[tuple[str, str], Any] = {}

    def pair(self, plan: FitPlan, device: torch.device) -> Pair:
        """Give the plan's two layers: gathered where both fit in memory, else to be streamed."""
        names = [(plan.source.name, plan.source_node), (plan.target.name, plan.target_node)]
        self.held = {name: value for name, value in self.held.items() if name in names}
        stored: list[Any] = [self.stores[name][node] for name, node in names]
        size = sum(int(np.prod(a.shape)) * np.dtype(a.dtype).itemsize for a in stored)
        if size <= self.memory_gb * 1e9:
            for name, array in zip(names, stored, strict=True):
                if name not in self.held:
                    self.held[name] = array[:]
            stored = [self.held[name] for name in names]
        source, target = stored
        return pair_up(source, target, device, self.block_rows(plan), self.memory_gb)

    def block_rows(self, plan: FitPlan) -> int:
        """Give the rows shuffled as one block: those of a shard of the source."""
        return int(self.stores[plan.source.name][plan.source_node].shard_rows)


def fit_key(plan: FitPlan, settings: Consistency, seed: int, source: Store, target: Store) -> str:
    """Name what a fit is made from; what is kept of it, and how it is fed, change nothing."""
    part = settings.model_dump(mode="json", exclude={"components", "memory_gb"})
    about = {
        "fit": part,
        "seed": seed,
        "name": plan.name,
        "nodes": (plan.source_node, plan.target_node),
        "images": plan.images,
        "only": plan.only,
    }
    inputs = {"source": source.digest, "target": target.digest}
    return product_key(about, inputs, "kc.consistency.fit", "kc.consistency.evaluate")


def _make(
    job: Job, product: Product, source: Store, target: Store, layers: Layers, kept: Kept | None
) -> None:
    """Fit, evaluate and write one plan; the card comes last."""
    begun = time.monotonic()
    product.start()
    pair = layers.pair(job.plan, job.device)
    subsets = _subsets(target.rows, job)
    resume = Resume(product.folder / STATE)
    result = _fit(job, pair, subsets["train"], layers.block_rows(job.plan), resume)
    files = save_fit(result, product.folder)
    found = evaluate(result, pair, subsets, kept)
    files += write_variances(found, result.net.order, product.folder)
    card = _card(job, result, source, target, found)
    seconds = round(time.monotonic() - begun, 2)
    product.finish(card | {"seconds": seconds}, files)
    LOG.info("%s: held-out share of x^Delta %.3f", job.plan.name, card["share_delta"]["test"])


def _fit(job: Job, pair: Pair, train: Rows, block_rows: int, resume: Resume) -> FitResult:
    settings = job.settings
    variance = 1.0
    if settings.penalty == "raw_equivalent":
        found = Moments()
        for _, y in pair.in_order(train):
            found.add(y[None], 1 if y.ndim == 4 else -1)
        variance = float(found.global_variance[0])
    return fit(
        pair.source,
        pair.target,
        order=settings.order,
        penalty=job.penalty(variance),
        preset=settings.preset,
        optimiser=settings.optimiser,
        kernel_size=settings.kernel_size,
        train=train,
        seed=job.seed,
        device=job.device,
        block_rows=block_rows,
        buffer_blocks=settings.buffer_shards,
        memory_gb=settings.memory_gb,
        precision=settings.precision,
        resume=resume,
    )


def _subsets(rows: pd.DataFrame, job: Job) -> dict[str, Rows]:
    """Give the rows of each subset; ``train`` are those g sees (half of them: a fixed half)."""
    found: dict[str, Rows] = {name: rows_in(rows, name, job.plan.only) for name in SUBSETS}
    if min(map(len, found.values())) == 0:
        known = ", ".join(sorted(set(rows["superclass"]))) if "superclass" in rows else "none"
        raise FeatureError(
            f"{job.plan.name}: no training or no test image is of superclass '{job.plan.only}'; "
            f"the data set's superclasses: {known}."
        )
    if job.plan.images == "half":
        rng = np.random.default_rng(derive_seed("half-images", job.base_seed))
        train = rng.permutation(found["train"])
        found["train"] = np.sort(train[: len(train) // 2])
    return found


def _card(
    job: Job, result: FitResult, source: Store, target: Store, found: Mapping[str, Moments]
) -> dict[str, Any]:
    """Say what was fitted on what, how far it came, and what it says."""
    plan, net = job.plan, result.net
    height_width = int(np.prod(net.target_shape)) // channels_of(net.target_shape)
    shares = {
        name: _share(series(moments.global_variance, net.order)) for name, moments in found.items()
    }
    return {
        "fit": plan.name,
        "source": {"network": plan.source.name, "layer": plan.source_layer}
        | {"node": plan.source_node, "shape": list(net.source_shape), "digest": source.digest},
        "target": {"network": plan.target.name, "layer": plan.target_layer}
        | {"node": plan.target_node, "shape": list(net.target_shape), "digest": target.digest},
        "resized": net.on_maps and net.source_shape[1:] != net.target_shape[1:],
        "images": plan.images,
        "only": plan.only,
        "preset": result.preset,
        "penalty": result.penalty,
        "p": net.gains.tolist(),
        "chosen": result.chosen.line(),
        "epochs": int(result.history["epoch"].max()),
        "rows": {"train": len(result.train), "validation": len(result.validation)},
        "share_delta": shares,
        "positions_per_weight": len(result.train) * height_width / (net.weights[0][0].numel()),
        "normalisation": result.normalisation._asdict(),
        "seed": job.seed,
        "device": str(job.device),
        "versions": versions(),
    }


def _share(variances: pd.Series) -> float:
    return float(variances["xdelta"] / variances["target"])
