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
from kc.plans.products import FitPlan
from kc.runtime import derive_seed
from kc.studies.features import Bench, sum_name


def read_by_b(bench: Bench, plan: FitPlan, sums: Sequence[int]) -> dict[str, np.ndarray]:
    """Train tails on A's and B's features, and B's tail on partial sums of g(x_A) [L20, App. A].

    Reading g(x_A) by B's tail is model stitching.

    All are trained further from their trained weights, by one recipe, on the same batches. If the
    fit is for one superclass, tails keep the last layer's rows of its classes.

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
    a = bench.layer(plan.source, plan.source_node, plan.only)
    b = bench.layer(plan.target, plan.target_node, plan.only)
    fit = bench.fit(plan)
    recipe = bench.settings.tails.refine
    found = {
        "A": train_and_test(bench, a.tail, bench.raw(a), a.labels, recipe),
        "B": train_and_test(bench, b.tail, bench.raw(b), b.labels, recipe),
    }
    for upto in sums:
        features = bench.sums(fit, a, upto)
        found[sum_name(upto)] = train_and_test(bench, b.tail, features, b.labels, recipe)
    return found


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
    classes = sorted(set(torch.cat(list(labels.values())).tolist()))
    smaller = subset_head(tail, classes)
    wanted = {subset: subset_labels(values, classes) for subset, values in labels.items()}
    seed = derive_seed("tail", bench.settings.tails.seed)
    trained = train_tail(smaller, features["train"], wanted["train"], recipe, seed, bench.device)
    return correct(trained.tail, features["test"], wanted["test"])
