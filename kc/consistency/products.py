"""Make the workflow's fits: ``fits/<fit>/`` and, if kept, ``components/<fit>.zarr``."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from kc.consistency.component_store import kept_of
from kc.consistency.data import FeaturePair, pair_up
from kc.consistency.fit_product import FitProduct, make_fit
from kc.consistency.order import Rows, cut
from kc.consistency.result import FitResult
from kc.consistency.variance import Moments
from kc.errors import FeatureError
from kc.images.rows import rows_in
from kc.names import SUBSETS
from kc.plans.products import FitPlan
from kc.provenance import product_key
from kc.runtime import derive_seed
from kc.settings.reconstruction import Consistency
from kc.store import Store, check_same_images, open_store
from kc.store.part import Destination

LOG = logging.getLogger(__name__)
RAW_PENALTY = {"alexnet": 8.0}
"""The paper's lambda on raw features; 0.1 for every network not named here."""


def fit_pairs(
    fits: Sequence[FitPlan],
    stores: Mapping[str, Path],
    settings: Consistency,
    seed: int,
    out: Path | Destination,
    device: torch.device,
) -> None:
    """Fit g for each plan, evaluate it on both subsets, and write its files.

    A fit with the same key and digest is not made again; missing components are made from it (in
    the destination's root, if it has one). Layers that fit in ``settings.memory_gb`` are read once
    for all fits.

    Raises
    ------
    StoreError
        The stores list different images.
    FeatureError
        The features cannot be used for g.
    """
    target = Destination.of(out)
    opened = {name: open_store(path) for name, path in sorted(stores.items())}
    layers = HeldLayers(opened, settings.memory_gb)
    for plan in sorted(fits, key=_reading_order):
        check_same_images(opened[plan.source.name], opened[plan.target.name])
        make_fit(product_of(plan, layers, settings, seed, target, device), target.folder)


def _reading_order(plan: FitPlan) -> tuple[str, ...]:
    """Sort fits so that those of the same layers follow each other."""
    return (*sorted((plan.source.name, plan.target.name)), plan.source_node, plan.target_node)


class HeldLayers:
    """Stored layers that are kept in memory for consecutive fits."""

    def __init__(self, stores: Mapping[str, Store], memory_gb: float) -> None:
        self.stores, self.memory_gb = stores, memory_gb
        self.held: dict[tuple[str, str], Any] = {}

    def pair(self, plan: FitPlan, device: torch.device) -> FeaturePair:
        """Return the plan's two layers: loaded if both fit in memory, else to be streamed."""
        names = [(plan.source.name, plan.source_node), (plan.target.name, plan.target_node)]
        self.held = {name: value for name, value in self.held.items() if name in names}
        stored: list[Any] = [self.stores[name][node] for name, node in names]
        block_rows = int(stored[0].shard_rows)
        size = sum(int(np.prod(a.shape)) * np.dtype(a.dtype).itemsize for a in stored)
        if size <= self.memory_gb * 1e9:
            for name, array in zip(names, stored, strict=True):
                if name not in self.held:
                    self.held[name] = array[:]
            stored = [self.held[name] for name in names]
        source, target = stored
        return pair_up(source, target, device, block_rows, self.memory_gb)


def product_of(
    plan: FitPlan,
    layers: HeldLayers,
    settings: Consistency,
    seed: int,
    out: Destination,
    device: torch.device,
) -> FitProduct:
    """Describe what a plan's files are made from."""
    source, target = layers.stores[plan.source.name], layers.stores[plan.target.name]
    key = fit_key(plan, settings, seed, source, target)
    raw = RAW_PENALTY.get(plan.target.architecture, 0.1)
    if settings.preset == "released":
        settings = settings.model_copy(update={"penalty": raw})
    # a fit on half the images differs from the whole one in these alone
    of_fit = derive_seed("fit", seed, replace(plan, images="all").name)
    subsets, held = _subsets(target.rows, plan, of_fit)
    return FitProduct(
        plan.name,
        key,
        settings,
        of_fit,
        subsets,
        partial(layers.pair, plan, device),
        partial(_told, plan, source, target),
        kept_of(plan, settings, key, target[plan.target_node], out),
        raw,
        held=held,
    )


def fit_key(plan: FitPlan, settings: Consistency, seed: int, source: Store, target: Store) -> str:
    """Return the key of a fit; the components kept and the memory used do not change it."""
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
    return product_key(about, inputs, "kc.consistency.products")


def _subsets(rows: pd.DataFrame, plan: FitPlan, seed: int) -> tuple[dict[str, Rows], Rows | None]:
    """Return the rows of each subset, and the validation cut if the seed alone does not decide it.

    On half the images g is fitted on a random half of those of the whole fit, and stopped on the
    same validation images.
    """
    found: dict[str, Rows] = {name: rows_in(rows, name, plan.only) for name in SUBSETS}
    if min(map(len, found.values())) == 0:
        known = ", ".join(sorted(set(rows["superclass"]))) if "superclass" in rows else "none"
        raise FeatureError(
            f"{plan.name}: no training or no test image is of superclass '{plan.only}'; "
            f"the data set's superclasses: {known}."
        )
    if plan.images == "all":
        return found, None
    fitted, held = cut(found["train"], seed)
    half = np.random.default_rng(derive_seed("half-images", seed)).permutation(fitted)
    found["train"] = np.sort(np.concatenate([half[: len(half) // 2], held]))
    return found, held


def _told(
    plan: FitPlan,
    source: Store,
    target: Store,
    result: FitResult,
    found: Mapping[str, Moments],
) -> dict[str, Any]:
    """Return the card's entries on the layers, the rows and the share of x^Delta (FVU)."""
    net = result.net
    shares = {name: moments.share(result.about.centring) for name, moments in found.items()}
    LOG.info("%s: held-out share of x^Delta %.3f", plan.name, shares["test"])
    return {
        "source": {"network": plan.source.name, "layer": plan.source_layer}
        | {"node": plan.source_node, "shape": list(net.source_shape), "digest": source.digest},
        "target": {"network": plan.target.name, "layer": plan.target_layer}
        | {"node": plan.target_node, "shape": list(net.target_shape), "digest": target.digest},
        "images": plan.images,
        "only": plan.only,
        "rows": {"train": len(result.train), "validation": len(result.validation)},
        "share_delta": shares,
    }
