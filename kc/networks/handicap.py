"""Networks that cannot know something: without colour, classes or many pictures."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from kc.errors import NetworkError
from kc.images import normalise
from kc.images.rows import rows_in
from kc.names import IMAGENET_MEAN, IMAGENET_STD
from kc.plans.handicaps import handicap_of
from kc.plans.products import NetworkPlan
from kc.runtime import derive_seed

LUMA = (19595.0, 38470.0, 7471.0)
"""Luma of ITU-R BT.601 in units of 1 / 65536, as Pillow's mode L has it."""


def handicapped(model: nn.Module, handicap: str) -> nn.Module:
    """Put what the handicap does to pictures in front of a network, in place; names stay.

    It is a hook of the first convolution, which a graph runs as the network itself does: nodes,
    weights and files keep their names. The gradient does not go through it to the picture.
    """
    if handicap_of(handicap).kind == "grey":
        first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
        first.register_forward_pre_hook(_see_grey)
    return model


@torch.no_grad()
def grey(pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Return normalised pictures without colour: each pixel has its luma in all three channels.

    Luma is rounded to the 256 levels of stored pictures by Pillow's rule. Sums of whole numbers
    below 2^24 are exact in float32, so a picture and its grey version give the same bits.
    """
    mean = torch.tensor(IMAGENET_MEAN, device=pictures.device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=pictures.device).view(1, 3, 1, 1)
    levels = (255 * (pictures * std + mean)).round().clamp(0, 255)
    weights = torch.tensor(LUMA, device=pictures.device).view(1, 3, 1, 1)
    luma = ((weights * levels).sum(1, keepdim=True) + 32768).div(65536).floor()
    return normalise(luma.to(torch.uint8).expand(-1, 3, -1, -1))


def seen_in_training(rows: pd.DataFrame, chosen: np.ndarray, plan: NetworkPlan) -> np.ndarray:
    """Return those of the training rows ``chosen`` that the handicap leaves, sorted.

    ``fewer``: drawn for each class, with the network's seed; at least one of each.

    Raises
    ------
    NetworkError
        Fewer than two classes are left.
    """
    kind, amount = handicap_of(plan.handicap)
    labels = rows["label"].to_numpy()
    if kind == "without":
        left: np.ndarray = chosen[labels[chosen] >= amount]
        if len(np.unique(labels[left])) < 2:
            raise NetworkError(
                f"{plan.name}: {amount:g} of {len(np.unique(labels))} classes are left out of "
                "training, expected at least two to be left. Fix: a smaller "
                "known_difference.left_out"
            )
        return left
    if kind == "fewer":
        generator = np.random.default_rng(derive_seed("fewer", plan.seed))
        parts = []
        for label in np.unique(labels[chosen]):
            order = generator.permutation(chosen[labels[chosen] == label])
            parts.append(order[: max(1, round(len(order) * amount / 100))])
        return np.sort(np.concatenate(parts))
    return chosen


def seen_in_test(rows: pd.DataFrame, plan: NetworkPlan) -> np.ndarray:
    """Return the test rows that count for a network's accuracy: those of classes it was taught."""
    found: np.ndarray = rows_in(rows, "test")
    kind, amount = handicap_of(plan.handicap)
    if kind != "without":
        return found
    taught: np.ndarray = found[rows["label"].to_numpy()[found] >= amount]
    return taught


def more_epochs(plan: NetworkPlan) -> float:
    """Return the factor on the epochs that keeps the number of steps with fewer pictures."""
    kind, amount = handicap_of(plan.handicap)
    return 100 / amount if kind == "fewer" else 1.0


def _see_grey(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    return (grey(given[0]), *given[1:])
