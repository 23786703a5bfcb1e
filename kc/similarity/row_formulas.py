"""Reduce features with more units than rows to as many columns as there are rows.

This keeps the inner products of rows, and so everything computed from them: CKA, Procrustes,
SVCCA, mean CCA, and least squares with the smallest solution. It does not keep single units:
PWCCA cannot be computed, and the mean over units is returned as weights.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from kc.similarity.formulas import TargetUnits
from kc.similarity.moments import Blocks

ROUNDING = 1e-12
"""Directions below this, in units of the largest, are left out."""


class Narrowed(NamedTuple):
    """The same rows with fewer columns."""

    feeds: list[Blocks]
    """One block for each input, in the same order."""
    units: TargetUnits


@torch.no_grad()
def narrow(feeds: Sequence[Blocks]) -> Narrowed:
    """Reduce all rows of several feeds to common columns, at most as many as there are rows.

    All rows are in memory, in float64; this is less than a matrix of the wider feature's units.
    """
    held = [[torch.cat(side) for side in zip(*feed(), strict=True)] for feed in feeds]
    lengths = [len(x) for x, _ in held]
    source, target = (torch.cat(side) for side in zip(*held, strict=True))
    columns = row_coordinates(target)
    # columns are orthogonal, so least squares for the mean over units is a division
    mean = columns.T @ target.mean(1) / columns.square().sum(0)
    parts = zip(
        *(torch.split(side, lengths) for side in (row_coordinates(source), columns)), strict=True
    )
    return Narrowed([_one_block(x, y) for x, y in parts], TargetUnits(target.shape[1], mean))


def row_coordinates(rows: Float[Tensor, "n p"]) -> Float[Tensor, "n r"]:
    """Return orthogonal columns, r at most n, with the same inner products of rows."""
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    kept = values > ROUNDING * values[-1]
    scaled: Tensor = vectors[:, kept] * values[kept].sqrt()
    return scaled


def _one_block(x: Tensor, y: Tensor) -> Blocks:
    return lambda: [(x, y)]
