"""Inputs of tails: stored features, and partial sums of g(x) computed from them.

The sums are computed from the source's store, not read from component stores: that reads one
feature of each image instead of K + 2, and components are stored for test images only, in float16.
What fits in ``memory_gb`` is computed once and held, otherwise batch by batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn import functional as F

from kc.consistency.decompose import decompose
from kc.consistency.net import match_size
from kc.consistency.result import FitResult
from kc.consistency.saved import load_fit
from kc.images.rows import rows_in
from kc.names import SUBSETS, Subset
from kc.networks import load_network, split
from kc.networks.tails import Features, held
from kc.plans.products import FitPlan, NetworkPlan
from kc.runtime import pick_device
from kc.settings.whole import Settings
from kc.store import Store, StoredArray, check_same_images, open_store


@dataclass(frozen=True)
class StoredRows:
    """Some rows of a stored layer."""

    array: StoredArray
    rows: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, rows: np.ndarray) -> Tensor:
        """Return float32 features of some of the rows."""
        return torch.from_numpy(np.asarray(self.array[self.rows[rows]])).float()


@dataclass(frozen=True)
class PartialSums:
    """x(0) + .. + x(upto) of some rows, in the target's own units [L20, Table 3]."""

    fit: FitResult
    source: StoredRows
    upto: int

    def __len__(self) -> int:
        return len(self.source)

    def batch(self, rows: np.ndarray) -> Tensor:
        """Return float32 partial sums of some of the rows, on the fit's device."""
        net = self.fit.net
        x = self.source.batch(rows).to(net.logits.device)
        no_target = x.new_zeros((len(x), *net.target_shape))
        parts = decompose(net, self.fit.normalisation, x, no_target)
        return parts.components[: self.upto + 1].sum(0)


@dataclass(frozen=True)
class ShapedFeatures:
    """Features in the shape of another layer: maps resized bilinearly, missing channels 0."""

    inner: Features
    shape: tuple[int, ...]
    """Shape of one image's feature: (channels, y, x), or (units,)."""

    def __len__(self) -> int:
        return len(self.inner)

    def batch(self, rows: np.ndarray) -> Tensor:
        """Return float32 features of some of the rows; further channels than the shape's stay."""
        x = match_size(self.inner.batch(rows), self.shape)
        missing = max(0, self.shape[0] - x.shape[1])
        return F.pad(x, [0, 0] * (x.ndim - 2) + [0, missing])


def sum_name(upto: int) -> str:
    """Format a partial sum.

    >>> sum_name(2)
    'x0+x1+x2'
    """
    return "+".join(f"x{k}" for k in range(upto + 1))


class TappedLayer(NamedTuple):
    """One layer of a trained network: its features, labels, and the layers above it."""

    tail: nn.Module
    rows: Mapping[Subset, StoredRows]
    labels: Mapping[Subset, Tensor]


class Bench:
    """Opens the inputs of studies with tails: stores, tails, fits."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.results = settings.results
        self.device = pick_device(settings.device)

    def layer(self, network: NetworkPlan, node: str, only: str = "") -> TappedLayer:
        """Open a layer; ``only`` selects the images of one superclass."""
        store = self.store(network)
        model = load_network(self.results / "networks" / network.name)
        size = self.settings.datasets[network.dataset].size
        tail = split(model, node, torch.zeros(2, 3, size, size))[1]
        labels = torch.from_numpy(store.rows["label"].to_numpy(np.int64, copy=True))
        rows = {subset: rows_in(store.rows, subset, only) for subset in SUBSETS}
        return TappedLayer(
            tail.to(self.device),
            {subset: StoredRows(store[node], chosen) for subset, chosen in rows.items()},
            {subset: labels[torch.from_numpy(chosen)] for subset, chosen in rows.items()},
        )

    def store(self, network: NetworkPlan) -> Store:
        """Open a network's activation store."""
        return open_store(self.results / "activations" / f"{network.name}.json")

    def fit(self, plan: FitPlan) -> FitResult:
        """Load a fit after checking that its two stores list the same images."""
        check_same_images(self.store(plan.source), self.store(plan.target))
        return load_fit(self.results / "fits" / plan.name, self.device)

    def sums(self, fit: FitResult, source: TappedLayer, upto: int) -> dict[Subset, Features]:
        """Return partial sums of both subsets, held in memory if they fit."""
        return {
            subset: self.reach(PartialSums(fit, rows, upto), fit.net.target_shape)
            for subset, rows in source.rows.items()
        }

    def raw(self, layer: TappedLayer) -> dict[Subset, Features]:
        """Return a layer's features of both subsets, held in memory if they fit."""
        return {
            subset: self.reach(rows, tuple(rows.array.shape[1:]))
            for subset, rows in layer.rows.items()
        }

    def reach(self, features: Features, shape: tuple[int, ...]) -> Features:
        """Hold features in memory (float32) if they fit in ``consistency.memory_gb``."""
        size = 4 * len(features) * prod(shape)
        return held(features) if size <= self.settings.consistency.memory_gb * 1e9 else features
