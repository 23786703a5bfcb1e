"""Magnitude pruning: small weights become 0 and stay 0 in retraining.

All counts here are of the weights of convolutions and of fully connected (FC) layers, including
the last one; biases and batch norms (below 1 % of a VGG) are neither counted nor pruned.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.utils import prune

from kc.errors import NetworkError

TOLERANCE = 1e-4
"""Largest error of the removed share, unless one weight is more than that."""


class Multiples(NamedTuple):
    """Thresholds in standard deviations of a layer's weights; smaller weights are removed."""

    s_conv: float
    """Threshold of every convolution."""
    s_fc: float
    """Threshold of every fully connected layer."""


def solve_multiples(model: nn.Module, removed: float) -> Multiples:
    """Find the two multiples that remove a share of all weights, by bisection.

    One share does not determine two multiples, so each group, convolutions and FC layers, loses
    the same share of its weights, and so does the network. Within a group all layers have the same
    multiple, so they lose different shares (Han et al., "Learning both weights and connections",
    NeurIPS 2015).

    Parameters
    ----------
    model
        The network; it is not changed.
    removed
        Share of the weights to remove, 0 to 1, exact to one weight or :data:`TOLERANCE`.

    Raises
    ------
    NetworkError
        The share is not within 0 and 1, or too many weights have the same size to reach it.
    """
    if not 0 <= removed <= 1:
        raise NetworkError(
            f"pruning: removed is {removed}, expected a share of the weights between 0 and 1. "
            "Fix: write 93.3 % as 0.933."
        )
    convolutions = _bisect(_layers(model, nn.Conv2d), removed, "convolutions")
    return Multiples(convolutions, _bisect(_layers(model, nn.Linear), removed, "FC layers"))


def apply_masks(model: nn.Module, s_conv: float, s_fc: float) -> None:
    """Prune in place: weights with \\|w\\| < s std(w of the layer) become 0 and stay 0.

    Each ``weight`` becomes ``weight_orig * weight_mask`` (:mod:`torch.nn.utils.prune`) in every
    forward pass, so no optimiser, momentum or weight decay brings one back. After training call
    :func:`bake`; a model with masks can be neither deep-copied nor loaded as a plain one.

    Parameters
    ----------
    model
        The network, not pruned yet.
    s_conv, s_fc
        Multiples of the standard deviation (n in the denominator); 0 removes nothing, infinity
        everything.

    Raises
    ------
    NetworkError
        A multiple is negative or not a number, or the model has masks already.
    """
    for name, multiple in (("s_conv", s_conv), ("s_fc", s_fc)):
        if not multiple >= 0:
            raise NetworkError(f"pruning: {name} is {multiple}, expected 0 or more")
    if prune.is_pruned(model):
        raise NetworkError(
            "pruning: the model has masks already, so the standard deviation would be that of the "
            "remaining weights. Fix: start from the unpruned network, or bake() it first."
        )
    _mask(_layers(model, nn.Conv2d), s_conv)
    _mask(_layers(model, nn.Linear), s_fc)


def bake(model: nn.Module) -> None:
    """Replace the masks by weights that are 0, in place, for a plain state dict."""
    for layer in _layers(model, nn.Conv2d) + _layers(model, nn.Linear):
        if prune.is_pruned(layer):
            prune.remove(layer, "weight")  # type: ignore[no-untyped-call]


def removed_share(model: nn.Module) -> float:
    """Return the share of weights of convolutions and FC layers that are exactly 0, 0 to 1."""
    layers = _layers(model, nn.Conv2d) + _layers(model, nn.Linear)
    zeros = sum(int((layer.weight == 0).sum()) for layer in layers)
    return zeros / sum(layer.weight.numel() for layer in layers)


def _layers[Layer: (nn.Conv2d, nn.Linear)](model: nn.Module, kind: type[Layer]) -> list[Layer]:
    return [module for module in model.modules() if isinstance(module, kind)]


def _mask(layers: Sequence[nn.Conv2d | nn.Linear], multiple: float) -> None:
    for layer in layers:
        kept = _kept(_scores(layer), multiple)
        prune.custom_from_mask(layer, "weight", kept)  # type: ignore[no-untyped-call]


def _scores(layer: nn.Conv2d | nn.Linear) -> Float[Tensor, "..."]:
    """Return the sizes of a layer's weights in standard deviations of these weights."""
    weight = layer.weight.detach()
    return weight.abs() / weight.std(correction=0)


def _kept(scores: Float[Tensor, "..."], multiple: float) -> Bool[Tensor, "..."]:
    # infinity removes all, even if the standard deviation is 0 and scores are infinite too
    return (scores >= multiple) & (multiple != math.inf)


def _bisect(layers: Sequence[nn.Conv2d | nn.Linear], removed: float, group: str) -> float:
    if not layers or removed == 0:
        return 0.0
    scores = torch.cat([_scores(layer).flatten() for layer in layers])
    wanted = round(removed * len(scores))
    if wanted == len(scores):
        return math.inf
    finite = scores[scores.isfinite()]
    low, high = 0.0, 2 * float(finite.max()) if len(finite) else 1.0
    for _ in range(64):
        middle = (low + high) / 2
        found = len(scores) - int(_kept(scores, middle).sum())
        if found == wanted:
            return middle
        low, high = (middle, high) if found < wanted else (low, middle)
    if abs(found - wanted) > max(1, TOLERANCE * len(scores)):
        raise NetworkError(
            f"pruning: no multiple of the deviation removes {removed:.2%} of the {group}' weights; "
            f"{middle:.6g} removes {found / len(scores):.2%}, because many weights have the same "
            "size. Fix: prune a trained network that was not pruned before."
        )
    return middle
