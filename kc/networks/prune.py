"""Magnitude pruning: small weights go, and stay gone in retraining.

What is counted everywhere here are the weights of convolutions and of fully connected (FC)
layers, the last one included; biases and batch norms (below 1 % of a VGG) are neither counted nor
pruned.
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
"""How far a removed share may be from the one asked for, where one weight is less than that."""


class Multiples(NamedTuple):
    """A layer loses its weights below this many standard deviations of that layer's weights."""

    s_conv: float
    """Of every convolution."""
    s_fc: float
    """Of every fully connected layer."""


def solve_multiples(model: nn.Module, removed: float) -> Multiples:
    """Find the two multiples that remove a share of all weights, by bisection.

    One share cannot fix two multiples: each group, convolutions and FC layers, is made to lose
    this same share of its own weights, and so the whole network loses it too. Within a group one
    multiple serves every layer, so layers lose different shares (Han et al., "Learning both
    weights and connections", NeurIPS 2015).

    Parameters
    ----------
    model
        Is not changed.
    removed
        Share of the weights to remove, 0 to 1; met to one weight or :data:`TOLERANCE`.

    Raises
    ------
    NetworkError
        The share is no share, or too many weights are of one size to meet it.
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

    Each ``weight`` becomes ``weight_orig * weight_mask`` (:mod:`torch.nn.utils.prune`), anew in
    every forward pass, so no optimiser, momentum or weight decay brings one back. Train on, then
    :func:`bake`; a model with masks can be neither deep-copied nor loaded as a plain one.

    Parameters
    ----------
    model
        Not pruned yet.
    s_conv, s_fc
        Multiples of the standard deviation (n in the denominator); 0 removes nothing, infinity
        all.

    Raises
    ------
    NetworkError
        A multiple is negative or not a number, or the model carries masks already.
    """
    for name, multiple in (("s_conv", s_conv), ("s_fc", s_fc)):
        if not multiple >= 0:
            raise NetworkError(f"pruning: {name} is {multiple}, expected 0 or more")
    if prune.is_pruned(model):
        raise NetworkError(
            "pruning: the model carries masks already, and its weights' deviation would be that "
            "of what is left. Fix: start from the unpruned network, or bake() it first."
        )
    _mask(_layers(model, nn.Conv2d), s_conv)
    _mask(_layers(model, nn.Linear), s_fc)


def bake(model: nn.Module) -> None:
    """Make the masks' zeros ordinary weights, in place; a plain state dict again."""
    for layer in _layers(model, nn.Conv2d) + _layers(model, nn.Linear):
        if prune.is_pruned(layer):
            prune.remove(layer, "weight")  # type: ignore[no-untyped-call]


def removed_share(model: nn.Module) -> float:
    """Share of the weights of convolutions and FC layers that are exactly 0, 0 to 1."""
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
    """Sizes of a layer's weights, in standard deviations of that layer's weights."""
    weight = layer.weight.detach()
    return weight.abs() / weight.std(correction=0)


def _kept(scores: Float[Tensor, "..."], multiple: float) -> Bool[Tensor, "..."]:
    # infinity removes all, even where the deviation is 0 and scores are infinite too
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
            f"pruning: no multiple of the deviation removes {removed:.2%} of the {group}' "
            f"weights; {middle:.6g} removes {found / len(scores):.2%}, because many weights are of "
            "one size. Fix: prune a trained network that was not pruned before."
        )
    return middle
