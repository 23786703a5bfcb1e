"""Measure the best linear map of each field, to compare g with.

On maps, order 0 of g sees 3 x 3 positions and order K sees 3 + 2 K: a higher order may gain by
its wider field or by being non-linear. What g gains over the linear map of the same field, which
has an intercept, is non-linear. Linear maps and g have the same training images, validation cut
and centring of variances.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kc.consistency.data import FeaturePair
from kc.consistency.decompose import exact_products, moments
from kc.consistency.equations import best_damped
from kc.consistency.fit import units_of
from kc.consistency.net import ConsistencyNet, inputs_of, positions_of
from kc.consistency.order import Rows
from kc.consistency.result import FitResult
from kc.consistency.start import solve
from kc.consistency.task import FitTask
from kc.consistency.variance import Moments
from kc.names import Shape
from kc.settings.reconstruction import Consistency

WIDEST = 8192
"""Most inputs of a linear map: their second moments and eigenvectors take 2 GB."""
IMAGES, VALUES = 2000, 2**26
"""Most training images, and values of both features, for the regression of whole images."""
UNFOLDED = 2**26
"""Values of patches that are computed at a time."""

Subsets = Mapping[str, Rows]


def field_of(order: int, kernel_size: int, shape: Shape) -> int:
    """Return the side of the field of g, 3 + 2 K for a 3 x 3 kernel; 1 for other than maps."""
    return 1 + (order + 1) * (kernel_size - 1) if len(shape) == 3 else 1


def fields_of(order: int, kernel_size: int, shape: Shape) -> list[int]:
    """Return the fields of orders 0 to K, each once, the smallest first."""
    return sorted({field_of(k, kernel_size, shape) for k in range(order + 1)})


def linear_rung(
    result: FitResult, pair: FeaturePair, subsets: Subsets, field: int, settings: Consistency
) -> dict[str, float]:
    """Return, by subset, the share that the best linear map of a field misses.

    The map has an intercept: each channel's training mean is subtracted on both sides. Its ridge
    strength is chosen on the validation cut of ``result``, a g fitted to the same pair.
    """
    with exact_products():
        task = task_of(result, pair, field, settings)
        net = ConsistencyNet(pair.source_shape, pair.target_shape, 0, field, seed=0)
        net = net.to(pair.device)
        solve(net, task)
        found = {name: moments(net, task.units, pair, rows) for name, rows in subsets.items()}
    return {name: one.share(result.about.centring) for name, one in found.items()}


def task_of(result: FitResult, pair: FeaturePair, field: int, settings: Consistency) -> FitTask:
    """Return the task of a linear map with the images of ``result``, channel means subtracted."""
    fitted = np.setdiff1d(result.train, result.validation)
    units = units_of(pair, fitted, "channel")
    places = positions_of(pair.target_shape)
    batch = max(1, min(128, UNFOLDED // (places * inputs_of(field, pair.source_shape))))
    return FitTask(pair, units, fitted, result.validation, settings, result.about.seed, batch)


def flattened_rung(
    result: FitResult, pair: FeaturePair, subsets: Subsets
) -> dict[str, float] | None:
    r"""Return, by subset, the share that the best linear map of whole images misses.

    Each image is a row and all its values are units, each side in its size. Ridge in the dual,

    .. math:: \hat y = \bar y + (x - \bar x)^\top X^\top (X X^\top + \lambda I)^{-1} (Y - \bar y)

    with the (n, n) matrix of the images; the strength is chosen on the validation cut, in units of
    the mean eigenvalue. None: for vectors, where this is the linear map of field 1, or above
    ``IMAGES`` training images or ``VALUES`` values.
    """
    units = math.prod(pair.source_shape) + math.prod(pair.target_shape)
    rows = np.unique(np.concatenate([result.train, *subsets.values()]))
    too_many = len(result.train) > IMAGES or len(rows) * units > VALUES
    if len(pair.target_shape) == 1 or too_many:
        return None
    blocks = [(x.flatten(1).double(), y.double()) for x, y in pair.in_order(rows)]
    x, y = (torch.cat(sides) for sides in zip(*blocks, strict=True))
    fitted = np.setdiff1d(result.train, result.validation)
    places = {"fitted": fitted, "validation": result.validation, **subsets}
    at = {name: torch.from_numpy(np.searchsorted(rows, wanted)) for name, wanted in places.items()}
    flat = y.flatten(1)
    mean = flat[at["fitted"]].mean(0)
    x = x - x[at["fitted"]].mean(0)
    products = x @ x[at["fitted"]].T
    missed = _best_dual(products, flat - mean, at["fitted"], at["validation"])
    found = {}
    for name in subsets:
        both = torch.stack([missed[at[name]].reshape(y[at[name]].shape), y[at[name]]])
        one = Moments()
        one.add(both, 1 if y.ndim == 4 else -1)
        found[name] = one.share(result.about.centring)
    return found


def _best_dual(
    products: Float[Tensor, "n f"], y: Float[Tensor, "n d"], fitted: Tensor, held: Tensor
) -> Float[Tensor, "n d"]:
    """Return what the ridge regression that validates best misses of every image."""
    own, seen = products[fitted], products[held]

    def error(alpha: Tensor) -> float:
        return float((y[held] - seen @ alpha).square().sum())

    return y - products @ best_damped(own, y[fitted], own.diagonal().mean(), error)
