"""Two layers of the same images beside one another by the measures others use.

Two readings of a layer: ``positions``, where each position of a map (each token) is a row and its
channels the units, as g sees it; ``flattened``, where each image is a row and all its values are
units. Every column says which.
"""

import math
from collections.abc import Iterator
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import pandas as pd
import torch
from einops import rearrange
from numpy.typing import ArrayLike
from torch import Tensor

from kc.consistency.data import Pair, pair_up
from kc.consistency.net import channels_of, match_size
from kc.consistency.order import Rows, rows_of
from kc.consistency.similarity import (
    linear_cka,
    linear_share,
    mean_cca,
    procrustes,
    pwcca,
    svcca,
    whiten,
)
from kc.consistency.similarity_minibatch import minibatch_cka
from kc.consistency.similarity_moments import Blocks, JointMoments, joint_moments
from kc.consistency.similarity_rows import narrow
from kc.errors import FeatureError

Reading = Literal["positions", "flattened"]
READINGS: tuple[Reading, Reading] = ("positions", "flattened")
MEASURES = ("cka", "svcca", "mean_cca", "pwcca", "procrustes", "linear_share")
"""Each is given for both readings."""
MINIBATCH = "cka_minibatch_flattened"
NAMES = (*(f"{measure}_{reading}" for reading in READINGS for measure in MEASURES), MINIBATCH)
"""Names of what :func:`similarities` gives, in order."""
WIDTH = 4096
"""Flattened features of more units than this have the minibatch estimate only."""
LEAST = 4
"""Rows the unbiased HSIC asks for."""
CPU = torch.device("cpu")


def similarities(
    source: Any,
    target: Any,
    train_rows: ArrayLike,
    test_rows: ArrayLike,
    *,
    device: torch.device = CPU,
    width: int = WIDTH,
    block: int = 64,
    minibatch: int = 256,
    block_rows: int = 256,
    memory_gb: float = 0.0,
) -> "pd.Series[float]":
    """Compare two features of the same images; every number is of the test images.

    Parameters
    ----------
    source, target
        ``(n, d)`` vectors, ``(n, t, d)`` tokens or ``(n, c, h, w)`` maps: arrays, tensors or
        stored layers, any unit. For ``positions`` a source map of another size is resized
        bilinearly to the target's, as for g; flattened maps keep their own size.
    train_rows, test_rows
        Masks or indices of the images the linear map is fitted and everything is measured on.
    device
        Where the products are summed, in float64.
    width
        Most units a flattened feature may have; wider ones leave NaN but for ``MINIBATCH``.
    block, minibatch
        Images multiplied at a time, and in one minibatch of [Nguyen2021].
    block_rows, memory_gb
        How stored layers are read, as in :func:`kc.consistency.data.pair_up`; at 0 GB they are
        read block by block, and a block and the matrices of the units are all that is held (or
        the rows, where they are fewer than the units).

    Returns
    -------
    Series
        By ``NAMES``. ``cka_*`` (debiased, exact over all rows), ``svcca_*`` (99 % of the
        variance), ``mean_cca_*``, ``pwcca_*``, ``procrustes_*``: 1 is alike, 0 is not.
        ``linear_share_*``: share of the target's variance the best linear map misses, beside the
        share of x^Delta; 0 is alike. ``cka_minibatch_flattened``: of any width. For vectors both
        readings are the same. NaN: CCA's kinds where rows are too few for the units
        (:func:`kc.consistency.similarity.mean_cca`), PWCCA where a feature has more units than
        both kinds of rows together, and flattened features wider than ``width``.

    Raises
    ------
    FeatureError
        Shapes that cannot be compared, fewer than four images of either kind, images in both,
        features that do not vary, values that are not finite.
    StoreError
        Stored layers that list different images.
    """
    pair = pair_up(source, target, device, block_rows, memory_gb)
    train, test = (rows_of(rows, len(pair)) for rows in (train_rows, test_rows))
    _check_rows(train, test)
    found = dict.fromkeys(NAMES, math.nan)
    found |= _compare(pair, train, test, "positions", block)
    if len(pair.target_shape) == 1:
        found |= {f"{name}_flattened": found[f"{name}_positions"] for name in MEASURES}
    elif max(math.prod(pair.source_shape), math.prod(pair.target_shape)) <= width:
        found |= _compare(pair, train, test, "flattened", block)
    found[MINIBATCH] = minibatch_cka(pair.in_order(test, minibatch))
    return pd.Series(found, name="similarity")


def _compare(pair: Pair, train: Rows, test: Rows, reading: Reading, block: int) -> dict[str, float]:
    """Give every measure of one reading."""
    feeds: list[Blocks] = [partial(_blocks, pair, rows, reading, block) for rows in (train, test)]
    units = None
    if _fewer_rows_than_units(pair, len(train) + len(test), reading):
        feeds, units = narrow(feeds)
    seen, held = (joint_moments(feed) for feed in feeds)
    for rows, moments in (("training", seen), ("test", held)):
        _check_varying(moments, rows)
    whitened = whiten(held)
    values = {
        "cka": linear_cka(held),
        "svcca": svcca(whitened),
        "mean_cca": mean_cca(whitened),
        "pwcca": pwcca(whitened) if units is None else math.nan,
        "procrustes": procrustes(held),
        "linear_share": linear_share(seen, held, units),
    }
    return {f"{name}_{reading}": values[name] for name in MEASURES}


def _fewer_rows_than_units(pair: Pair, images: int, reading: Reading) -> bool:
    shapes = (pair.source_shape, pair.target_shape)
    if reading == "flattened":
        return images < max(map(math.prod, shapes))
    positions = math.prod(pair.target_shape) // channels_of(pair.target_shape)
    return images * positions < max(map(channels_of, shapes))


def _blocks(
    pair: Pair, rows: Rows, reading: Reading, block: int
) -> Iterator[tuple[Tensor, Tensor]]:
    for x, y in pair.in_order(rows, block):
        x, y = x.double(), y.double()
        if reading == "positions":
            x = match_size(x, pair.target_shape)
        yield _rows(x, reading), _rows(y, reading)


_POSITIONS = MappingProxyType({2: "n d -> n d", 3: "n t d -> (n t) d", 4: "n c h w -> (n h w) c"})


def _rows(values: Tensor, reading: Reading) -> Tensor:
    if reading == "positions":
        return rearrange(values, _POSITIONS[values.ndim])
    return rearrange(values, "n ... -> n (...)")


def _check_rows(train: Rows, test: Rows) -> None:
    if min(len(train), len(test)) < LEAST:
        raise FeatureError(
            f"{len(train)} training and {len(test)} test images are too few to compare features "
            f"by: at least {LEAST} of each are needed. Cure: record more images."
        )
    both = sorted({*train.tolist()} & {*test.tolist()})
    if both:
        raise FeatureError(
            f"{len(both)} images (the first in row {both[0]}) are among the training and the test "
            "rows; a held-out share needs images the map has not seen. Cure: pass rows apart."
        )


def _check_varying(moments: JointMoments, rows: str) -> None:
    for side, mean, squares in (
        ("source", moments.source_mean, moments.source.trace()),
        ("target", moments.target_mean, moments.target.trace()),
    ):
        # a constant's deviations are rounding of its mean
        if float(squares) <= 1e-24 * moments.rows * float(mean.square().sum()):
            raise FeatureError(
                f"{side}: no unit varies over the {moments.rows} {rows} rows, so nothing can be "
                "compared. Cure: check the network and the layer it was recorded from."
            )
