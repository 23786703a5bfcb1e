"""Features of more units than rows, brought to as many columns as there are rows.

Inner products of rows are kept, and so is everything that is made from them: CKA, Procrustes,
SVCCA, mean CCA, and least squares with the smallest solution. What looks at single units is not:
PWCCA, and the mean over units, which therefore comes along as weights.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from kc.similarity.formulas import TargetUnits
from kc.similarity.moments import Blocks

ROUNDING = 1e-12
"""Directions of less than this, in units of the largest, are left out."""


class Narrowed(NamedTuple):
    """The same rows in fewer columns."""

    feeds: list[Blocks]
    """One block each, in the order they were given."""
    units: TargetUnits


@torch.no_grad()
def narrow(feeds: Sequence[Blocks]) -> Narrowed:
    """Bring all rows of several feeds to common columns, at most as many as rows in all.

    All rows are held at once, in float64; that is less than a matrix of the wider feature's units.
    """
    held = [[torch.cat(side) for side in zip(*feed(), strict=True)] for feed in feeds]
    lengths = [len(x) for x, _ in held]
    source, target = (torch.cat(side) for side in zip(*held, strict=True))
    columns = row_coordinates(target)
    # columns are orthogonal, so that least squares for the mean over units is a division
    mean = columns.T @ target.mean(1) / columns.square().sum(0)
    parts = zip(
        *(torch.split(side, lengths) for side in (row_coordinates(source), columns)), strict=True
    )
    return Narrowed([_one_block(x, y) for x, y in parts], TargetUnits(target.shape[1], mean))


def row_coordinates(rows: Float[Tensor, "n p"]) -> Float[Tensor, "n r"]:
    """Return orthogonal columns, r at most n, whose rows have the inner products of those given."""
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    kept = values > ROUNDING * values[-1]
    scaled: Tensor = vectors[:, kept] * values[kept].sqrt()
    return scaled


def _one_block(x: Tensor, y: Tensor) -> Blocks:
    return lambda: [(x, y)]
