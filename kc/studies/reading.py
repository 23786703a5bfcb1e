"""Measure the accuracy of tails on their own network's features, and on reconstructed ones."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from kc.names import Subset
from kc.networks.tails import (
    Features,
    TailRecipe,
    correct,
    subset_head,
    subset_labels,
    train_tail,
)
from kc.plans.products import FitPlan, NetworkPlan
from kc.runtime import derive_seed
from kc.studies.features import Bench, TappedLayer, sum_name
from kc.studies.fits import read_network_card

type End = tuple[NetworkPlan, str, str]
"""A network, a node of it, and the superclass of the images (empty: all)."""


class Readings:
    """Read features by tails; what belongs to one network is measured once, not for each pair.

    All tails are trained further from their trained weights, by one recipe, on the same batches
    [L20, App. A]. If the images are of one superclass, tails keep the last layer's rows of its
    classes.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._layers: dict[End, TappedLayer] = {}
        self._own: dict[End, np.ndarray] = {}

    def of_pair(self, plan: FitPlan, sums: Sequence[int]) -> dict[str, np.ndarray]:
        """Read A's and B's own features, and partial sums of g(x_A) by B's tail (stitching).

        Parameters
        ----------
        plan
            A (source) reconstructs B (target).
        sums
            Partial sums to read: k means x(0) + .. + x(k).

        Returns
        -------
        dict
            By features (``A``, ``B``, ``x0``, ``x0+x1``, ...): which test images are classified
            correctly.
        """
        a, b = _ends(plan)
        fit = self.bench.fit(plan)
        found = {"A": self.own(a), "B": self.own(b)}
        for upto in sums:
            features = self.bench.sums(fit, self._layer(a), upto)
            found[sum_name(upto)] = self._read(b, features)
        return found

    def as_trained(self, plan: FitPlan) -> dict[str, float]:
        """Return the accuracy of A and of B without further training [L19, footnote 3].

        Returns
        -------
        dict
            ``A_as_trained``, ``B_as_trained``: percent of the test images; of networks as they are
            (their cards), or, for a superclass, among the logits of its classes.
        """
        names = ("A_as_trained", "B_as_trained")
        return {name: self._untouched(end) for name, end in zip(names, _ends(plan), strict=True)}

    def own(self, end: End) -> np.ndarray:
        """Return which test images a network's own tail classifies correctly."""
        if end not in self._own:
            self._own[end] = self._read(end, self.bench.raw(self._layer(end)))
        return self._own[end]

    def _layer(self, end: End) -> TappedLayer:
        if end not in self._layers:
            self._layers[end] = self.bench.layer(*end)
        return self._layers[end]

    def _read(self, end: End, features: Mapping[Subset, Features]) -> np.ndarray:
        layer = self._layer(end)
        recipe = self.bench.settings.tails.refine
        return train_and_test(self.bench, layer.tail, features, layer.labels, recipe)

    def _untouched(self, end: End) -> float:
        network, _, only = end
        if not only:
            return float(read_network_card(network, self.bench.results)["accuracy"]["test"])
        layer = self._layer(end)
        tail, labels = _restricted(layer.tail, layer.labels)
        right = correct(tail, self.bench.raw(layer)["test"], labels["test"])
        return float(100 * right.mean())


def train_and_test(
    bench: Bench,
    tail: nn.Module,
    features: Mapping[Subset, Features],
    labels: Mapping[Subset, Tensor],
    recipe: TailRecipe,
) -> np.ndarray:
    """Train a copy of a tail; return which test images it classifies correctly.

    A tail with more classes than occur keeps only the rows of those that do.
    """
    smaller, wanted = _restricted(tail, labels)
    seed = derive_seed("tail", bench.settings.tails.seed)
    trained = train_tail(smaller, features["train"], wanted["train"], recipe, seed, bench.device)
    return correct(trained.tail, features["test"], wanted["test"])


def _restricted(
    tail: nn.Module, labels: Mapping[Subset, Tensor]
) -> tuple[nn.Module, dict[Subset, Tensor]]:
    """Keep the rows of the classes that occur; return the smaller tail and the labels' places."""
    classes = sorted(set(torch.cat(list(labels.values())).tolist()))
    wanted = {subset: subset_labels(values, classes) for subset, values in labels.items()}
    return subset_head(tail, classes), wanted


def _ends(plan: FitPlan) -> tuple[End, End]:
    """Return A's and B's end of a fit."""
    a = (plan.source, plan.source_node, plan.only)
    return a, (plan.target, plan.target_node, plan.only)
