"""Compute inner products of images from flattened features, with bounded memory."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kc.consistency.order import Rows

HELD = 5e8
"""Bytes of a feature in memory at a time; two such blocks are multiplied."""
EXACT = 8192
"""Most units multiplied in float64; wider features in float32, summed in float64."""
BLOCK = 4096
"""Units multiplied at a time."""
CONSTANT = 1e-24
"""Variance, in units of the squared mean, that is only rounding."""


@torch.no_grad()
def image_gram(
    read: Callable[[Rows], np.ndarray], rows: Rows, device: torch.device
) -> Float[Tensor, "n n"]:
    """Return the inner products of flattened rows, less one common point, float64.

    Each block of rows is read once if the feature takes at most ``HELD`` bytes, else once for each
    later block. A feature that varies by rounding alone gets zeros.

    Parameters
    ----------
    read
        Returns some rows, ``(m, *shape)``, of ascending numbers.
    rows
        Numbers of the n rows, in the order of the result.
    """
    ascending = np.argsort(rows)
    first = read(rows[ascending[:1]])
    each = max(1, int(HELD // max(1, first.nbytes)))
    parts = [ascending[begin : begin + each] for begin in range(0, len(rows), each)]
    found = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=device)
    origin: Tensor | None = None
    for number, places in enumerate(parts):
        left = _flat(read(rows[places]), device)
        origin = _mean(left) if origin is None else origin
        at_left = torch.from_numpy(places).to(device)
        for others in parts[: number + 1]:
            right = left if others is places else _flat(read(rows[others]), device)
            block = _products(left, right, origin)
            at_right = torch.from_numpy(others).to(device)
            found[at_left[:, None], at_right] = block
            found[at_right[:, None], at_left] = block.T
    assert origin is not None
    if float(found.trace()) <= CONSTANT * len(rows) * float(origin.square().sum()):
        return found.zero_()
    return found


def centred_about(gram: Float[Tensor, "n n"], rows: slice) -> Float[Tensor, "n n"]:
    """Return the inner products after the mean of some of the rows is subtracted from all."""
    along = gram[rows].mean(0)
    return gram - along[:, None] - along + along[rows].mean()


def _flat(values: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(values).flatten(1).to(device)


def _mean(values: Float[Tensor, "n p"]) -> Float[Tensor, " p"]:
    blocks = range(0, values.shape[1], BLOCK)
    return torch.cat([values[:, k : k + BLOCK].double().mean(0) for k in blocks])


def _products(
    left: Float[Tensor, "n p"], right: Float[Tensor, "m p"], origin: Float[Tensor, " p"]
) -> Float[Tensor, "n m"]:
    kind = torch.float64 if left.shape[1] <= EXACT else torch.float32
    found = torch.zeros(len(left), len(right), dtype=torch.float64, device=left.device)
    for begin in range(0, left.shape[1], BLOCK):
        units = slice(begin, begin + BLOCK)
        one = (left[:, units].double() - origin[units]).to(kind)
        other = one if right is left else (right[:, units].double() - origin[units]).to(kind)
        found += one @ other.T
    return found
