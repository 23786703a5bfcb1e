"""Compute all similarity measures of two layers of the same images."""

import math
from typing import Any, NamedTuple

import pandas as pd
import torch
from numpy.typing import ArrayLike

from kc.consistency.data import FeaturePair, pair_up
from kc.consistency.net import inputs_of, positions_of
from kc.consistency.order import Rows, rows_of
from kc.consistency.variance import Centring
from kc.errors import FeatureError
from kc.similarity.formulas import (
    linear_cka,
    linear_share,
    mean_cca,
    procrustes,
    pwcca,
    svcca,
    whiten,
)
from kc.similarity.minibatch import minibatch_cka
from kc.similarity.patch_share import patch_share
from kc.similarity.row_measures import RowView

READINGS = ("positions", "flattened")
"""What a row is (:mod:`kc.similarity.row_measures`)."""
MEASURES = ("cka", "svcca", "mean_cca", "pwcca", "procrustes", "linear_share")
"""Each is computed for both readings."""
MINIBATCH = "cka_minibatch_flattened"
PATCHES = "linear_share_patches"
NAMES = (
    *(f"{measure}_{reading}" for reading in READINGS for measure in MEASURES),
    PATCHES,
    MINIBATCH,
)
"""Names of the results of :func:`similarities`, in order."""
WIDTH = 4096
"""For flattened features of more units, only the minibatch estimate is computed."""
MANY = 8_000
"""Most positions, or units of a patch: if both are more, the measure of patches is NaN."""
LEAST = 4
"""Fewest rows of the unbiased HSIC."""
CPU = torch.device("cpu")


class Measuring(NamedTuple):
    """How features are read and multiplied, and which are too wide."""

    width: int = WIDTH
    """Most units of a flattened feature; wider ones give NaN except for ``MINIBATCH``."""
    block: int = 64
    """Images multiplied at a time."""
    minibatch: int = 256
    """Images in one minibatch of [Nguyen2021]."""
    kernel_size: int = 3
    """Side of the neighbourhoods of ``linear_share_patches`` (odd): that of g."""
    block_rows: int = 256
    """Rows of a block of stored layers, as in :func:`kc.consistency.data.pair_up`."""
    memory_gb: float = 0.0
    """Stored layers up to this size are held in memory; with 0 only a block and the matrices of the
    units are (or the rows, if they are fewer than the units)."""
    centring: Centring = "layer"
    """Centring of the variances of ``linear_share_*``; that of g, to be comparable."""


USUAL = Measuring()


def similarities(
    source: Any,
    target: Any,
    train_rows: ArrayLike,
    test_rows: ArrayLike,
    *,
    device: torch.device = CPU,
    how: Measuring = USUAL,
) -> "pd.Series[float]":
    """Return the similarity measures of two features of the same images, on test images.

    Parameters
    ----------
    source, target
        ``(n, d)`` vectors, ``(n, t, d)`` tokens or ``(n, c, h, w)`` maps: arrays, tensors or
        stored layers, in any unit. For ``positions`` a source map of another size is resized
        bilinearly to the target's, as for g; flattened maps keep their size.
    train_rows, test_rows
        Masks or indices of the images to fit the linear map on, and to measure on.
    device
        Device on which products are summed, in float64.
    how
        Sizes of blocks and neighbourhoods, and the width limit of flattened features.

    Returns
    -------
    Series
        By ``NAMES``. ``cka_*`` (debiased, exact over all rows), ``svcca_*`` (99 % of the
        variance), ``mean_cca_*``, ``pwcca_*``, ``procrustes_*``: 1 if alike, 0 if not.
        ``linear_share_*``: share of the target's variance the best linear map misses, comparable
        with the share of x^Delta; 0 if alike. ``linear_share_patches`` sees the neighbourhoods that
        W(0) of g sees: what g gives more is due to its higher orders (non-linear, or from farther
        away). ``cka_minibatch_flattened``: for any width. For vectors all readings are the same.
        NaN: CCA measures if rows are too few for the units
        (:func:`kc.similarity.formulas.mean_cca`), PWCCA if a feature has more units than training
        and test rows together, flattened features wider than ``how.width``, and patches of more
        units than ``MANY`` at as many positions.

    Raises
    ------
    FeatureError
        Shapes cannot be compared, there are fewer than four training or test images, an image is
        in both, a feature is constant, or a value is not finite.
    StoreError
        The stored layers list different images.
    """
    pair = pair_up(source, target, device, how.block_rows, how.memory_gb)
    train, test = (rows_of(rows, len(pair)) for rows in (train_rows, test_rows))
    _check_rows(train, test)
    found = dict.fromkeys(NAMES, math.nan)
    found |= _compared(RowView(pair, "positions", how.block), train, test, how.centring)
    found[PATCHES] = found["linear_share_positions"]
    if len(pair.target_shape) == 3 and how.kernel_size > 1:
        found[PATCHES] = _of_patches(pair, train, test, how)
    if len(pair.target_shape) == 1:
        found |= {f"{name}_flattened": found[f"{name}_positions"] for name in MEASURES}
    elif max(math.prod(pair.source_shape), math.prod(pair.target_shape)) <= how.width:
        found |= _compared(RowView(pair, "flattened", how.block), train, test, how.centring)
    found[MINIBATCH] = minibatch_cka(pair.in_order(test, how.minibatch))
    return pd.Series(found, name="similarity")


def _compared(view: RowView, train: Rows, test: Rows, centring: Centring) -> dict[str, float]:
    """Return all measures of one reading."""
    halves = view.halves(train, test)
    whitened = whiten(halves.test)
    values = {
        "cka": linear_cka(halves.test),
        "svcca": svcca(whitened),
        "mean_cca": mean_cca(whitened),
        "pwcca": pwcca(whitened) if halves.units is None else math.nan,
        "procrustes": procrustes(halves.test),
        "linear_share": linear_share(*halves, centring=centring),
    }
    return {f"{name}_{view.reading}": values[name] for name in MEASURES}


def _of_patches(pair: FeaturePair, train: Rows, test: Rows, how: Measuring) -> float:
    """Return the share the best linear map of patches misses, by the smaller matrix."""
    rows = (len(train) + len(test)) * positions_of(pair.target_shape)
    units = inputs_of(how.kernel_size, pair.source_shape)
    if min(rows, units) > MANY:
        return math.nan
    if rows < units:
        return patch_share(pair, (train, test), how.kernel_size, how.centring)
    view = RowView(pair, "patches", how.block, how.kernel_size)
    return linear_share(*view.halves(train, test), centring=how.centring)


def _check_rows(train: Rows, test: Rows) -> None:
    if min(len(train), len(test)) < LEAST:
        raise FeatureError(
            f"{len(train)} training and {len(test)} test images are too few to compare features "
            f"by: at least {LEAST} of each are needed. Fix: record more images."
        )
    both = sorted({*train.tolist()} & {*test.tolist()})
    if both:
        raise FeatureError(
            f"{len(both)} images (the first in row {both[0]}) are among the training and the test "
            "rows; test images must not be training images. Fix: pass disjoint rows."
        )
