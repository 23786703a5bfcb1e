"""Compute second moments of two features: all that CKA, CCA and least squares need."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Blocks = Callable[[], Iterable[tuple[Tensor, Tensor]]]
"""Returns blocks of rows ``(n, p)`` and ``(n, q)``, float64; each call begins at row 0."""


class JointMoments(NamedTuple):
    """Centred sums over rows (not divided by their number), float64."""

    rows: int
    source_mean: Float[Tensor, " p"]
    target_mean: Float[Tensor, " q"]
    source: Float[Tensor, "p p"]
    """X'X of the centred source."""
    target: Float[Tensor, "q q"]
    cross: Float[Tensor, "p q"]
    norms: Float[Tensor, "2 2"]
    """Sums over rows of |x|^4, |x|^2 |y|^2 and |y|^4, x and y centred."""


@torch.no_grad()
def joint_moments(blocks: Blocks) -> JointMoments:
    """Return the moments of two features in two passes: the means, then centred products.

    Only a block and the three matrices are in memory. The choice of blocks changes the sums only
    by float64 rounding.
    """
    count, source_mean, target_mean = _means(blocks())
    p, q = len(source_mean), len(target_mean)
    source, target = source_mean.new_zeros(p, p), source_mean.new_zeros(q, q)
    cross, norms = source_mean.new_zeros(p, q), source_mean.new_zeros(2, 2)
    for x, y in blocks():
        x, y = x - source_mean, y - target_mean
        source.addmm_(x.T, x)
        target.addmm_(y.T, y)
        cross.addmm_(x.T, y)
        squares = torch.stack([x.square().sum(1), y.square().sum(1)])
        norms.addmm_(squares, squares.T)
    return JointMoments(count, source_mean, target_mean, source, target, cross, norms)


def _means(blocks: Iterable[tuple[Tensor, Tensor]]) -> tuple[int, Tensor, Tensor]:
    count, sums = 0, (torch.zeros(()), torch.zeros(()))
    for x, y in blocks:
        sums = sums[0] + x.sum(0), sums[1] + y.sum(0)
        count += len(x)
    return count, sums[0] / count, sums[1] / count
