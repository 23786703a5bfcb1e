"""Make differences of known size from one feature, and measure them, without training networks.

The feature is centred first: each unit's mean over the training images is subtracted. ``added``:

.. math:: x^* = \\sqrt{1 - s} \\, x + \\sqrt{s} \\, x'

with x' the same feature of other images of the same subset, so independent of x: the share of
Var(x*) that x cannot give is s, and the variance stays. ``deleted``: the target is x, the source x
without some channels. What the others do not give of them is at most their share of the variance,
and at most what a linear map of the others misses.
"""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from kc.consistency.order import Rows
from kc.errors import FeatureError
from kc.similarity.measures import PATCHES, Measuring, similarities


class KnownPair(NamedTuple):
    """A source and a target whose difference is known."""

    part: Literal["added", "deleted"]
    amount: float
    """The share s, or the number of channels deleted."""
    source: Float[np.ndarray, "n *source"]
    target: Float[np.ndarray, "n *target"]
    truth: float
    """Share of Var(x*) that the source cannot give; NaN if only its upper bound is known."""
    upper: float
    """Upper bound of that share, test images."""


def centred(x: np.ndarray, train: Rows) -> Float[np.ndarray, "n *feature"]:
    """Return a feature in float32, without each unit's mean over the training rows."""
    wide = np.asarray(x, np.float32)
    return wide - wide[train].mean(0, dtype=np.float64).astype(np.float32)


def with_added(
    x: Float[np.ndarray, "n *feature"], share: float, subsets: Mapping[str, Rows], seed: int
) -> KnownPair:
    """Add a share of variance from other images of the same subset to a centred feature.

    Rows in no subset are not changed; each other row gets that of another image.
    """
    rng = np.random.default_rng(seed)
    target = x.copy()
    for rows in subsets.values():
        order = rng.permutation(rows)
        others = np.roll(order, 1)  # no row keeps its own image
        target[order] = math.sqrt(1 - share) * x[order] + math.sqrt(share) * x[others]
    return KnownPair("added", share, x, target, share, share)


def with_deleted(
    x: Float[np.ndarray, "n *feature"], count: int, test: Rows, seed: int
) -> KnownPair:
    """Delete randomly drawn channels from the source; the target is the centred feature itself.

    Raises
    ------
    FeatureError
        No channel would be left.
    """
    axis = 1 if x.ndim == 4 else x.ndim - 1
    channels = x.shape[axis]
    if count >= channels:
        raise FeatureError(
            f"titration: {count} of {channels} channels would be deleted, expected at least one "
            "to be left. Fix: smaller numbers in known_difference.deleted"
        )
    order = np.random.default_rng(seed).permutation(channels)
    gone, left = order[:count], np.sort(order[count:])
    power = np.square(x[test], dtype=np.float64).mean(tuple({*range(x.ndim)} - {axis}))
    source = np.ascontiguousarray(np.take(x, left, axis))
    return KnownPair("deleted", count, source, x, math.nan, float(power[gone].sum() / power.sum()))


def differences_of(
    source: object,
    target: object,
    subsets: Mapping[str, Rows],
    device: torch.device,
    how: Measuring,
) -> dict[str, float]:
    """Return ``linear`` and ``cka`` of two features as differences, 0 if alike; test images.

    ``linear``: share that the best linear map of neighbourhoods misses (of positions, if there are
    too many units); ``cka``: 1 - debiased CKA of positions.
    """
    # of a width of 1: flattened features are not compared
    found = similarities(
        source, target, subsets["train"], subsets["test"], device=device, how=how._replace(width=1)
    )
    linear = found[PATCHES]
    if math.isnan(linear):
        linear = found["linear_share_positions"]
    return {"linear": float(linear), "cka": 1 - float(found["cka_positions"])}
