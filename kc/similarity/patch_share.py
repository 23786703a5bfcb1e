"""Measure the best linear map of patches by inner products of positions, for few rows."""

import math

import torch

from kc.consistency.data import FeaturePair
from kc.consistency.dual import by_rows, patch_products
from kc.consistency.net import match_size
from kc.consistency.order import Rows
from kc.consistency.variance import Centring
from kc.similarity.formulas import RIDGE


@torch.no_grad()
def patch_share(
    pair: FeaturePair, halves: tuple[Rows, Rows], kernel_size: int, centring: Centring = "layer"
) -> float:
    r"""Return :func:`kc.similarity.formulas.linear_share` of maps' patches, in the dual.

    .. math:: \hat y = \bar y + \bar K_{test} (\bar K_{train} + \epsilon I)^{-1} (Y - \bar y)

    with K the inner products of patches, centred by the training rows' mean. Of many solutions the
    smallest is used, as there; patches are never stored. NaN: the source varies by rounding alone.
    """
    sides = [list(pair.in_order(rows)) for rows in halves]
    inputs = [torch.cat([match_size(x, pair.target_shape) for x, _ in side]) for side in sides]
    seen, held = (by_rows(torch.cat([y for _, y in side])) for side in sides)
    of_train = patch_products(inputs[0], inputs[0], kernel_size)
    of_test = patch_products(inputs[1], inputs[0], kernel_size)
    means, whole = of_train.mean(0), of_train.mean()
    of_test += whole - means - of_test.mean(1, keepdim=True)
    of_train += whole - means - means[:, None]
    of_train.diagonal().add_(RIDGE * of_train.trace())
    mean = seen.mean(0)
    factor, failed = torch.linalg.cholesky_ex(of_train)
    if failed:  # what is left after the mean is rounding
        return math.nan
    alpha = torch.cholesky_solve(seen - mean, factor)
    missed = held - mean - of_test @ alpha
    if centring == "channel":
        return float(missed.var(0, correction=0).sum() / held.var(0, correction=0).sum())
    return float(missed.var(correction=0) / held.var(correction=0))
