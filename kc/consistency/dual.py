"""Ridge regression on patches in the dual: for layers with fewer positions than units of a patch.

The solution is a sum of the fitted patches, U^T alpha, and needs only their inner products,
n x n. On maps these are sums over shifts of inner products of pixels, nine times cheaper than
those of patches; patches are never stored.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from kc.consistency.equations import best_damped

BLOCK = 32
"""Number of images whose products are computed at a time."""


class Examples(NamedTuple):
    """Inputs and targets of a linear map: maps, or rows of units."""

    inputs: Float[Tensor, "n *input"]
    targets: Float[Tensor, "n *target"]


@torch.no_grad()
def dual_ridge(
    fitted: Examples, validation: Examples, kernel_size: int
) -> Float[Tensor, "d c *kernel"]:
    r"""Solve ridge regression from the inner products of patches.

    .. math:: W = U^\top (U U^\top + n \rho I)^{-1} Y = (U^\top U + n \rho I)^{-1} U^\top Y

    With U ``(n, u)`` the patches of all positions. The solution and the chosen strength are those
    of :func:`kc.consistency.equations.ridge`, up to rounding.
    """
    on_maps = fitted.inputs.ndim == 4
    y, held = by_rows(fitted.targets), by_rows(validation.targets)
    gram = patch_products(fitted.inputs, fitted.inputs, kernel_size) / len(y)
    across = patch_products(validation.inputs, fitted.inputs, kernel_size) / len(y)
    units = fitted.inputs.shape[1] * kernel_size**2 if on_maps else fitted.inputs.shape[-1]
    mean = float(gram.trace()) / units

    def error(alpha: Tensor) -> float:
        return float(torch.addmm(held, across, alpha, beta=-1).square().mean())

    return _weight(fitted, best_damped(gram, y, mean, error) / len(y), kernel_size)


def patch_products(
    left: Float[Tensor, "n *input"], right: Float[Tensor, "m *input"], kernel_size: int
) -> Float[Tensor, "rows columns"]:
    """Return the inner products of all patches of one with all of the other, float64.

    Positions are in order of image, row and column; patches are zero beyond the border.
    """
    if left.ndim != 4:
        return by_rows(left) @ by_rows(right).T
    height, width = left.shape[-2:]
    columns = by_rows(right)
    found = columns.new_zeros(len(left), height, width, len(right), height, width)
    reach = kernel_size // 2
    for start in range(0, len(left), BLOCK):
        some = left[start : start + BLOCK]
        of_pixels = by_rows(some) @ columns.T
        pixels = of_pixels.reshape(len(some), height, width, len(right), height, width)
        for down in range(-reach, reach + 1):
            for across in range(-reach, reach + 1):
                at_y, from_y = _shifted(down, height)
                at_x, from_x = _shifted(across, width)
                found[start : start + BLOCK, at_y, at_x, :, at_y, at_x] += pixels[
                    :, from_y, from_x, :, from_y, from_x
                ]
    return found.reshape(len(left) * height * width, -1)


def _shifted(by: int, length: int) -> tuple[slice, slice]:
    """Return the positions that have a neighbour at this distance, and those neighbours."""
    by = max(-length, min(length, by))
    return slice(max(0, -by), length - max(0, by)), slice(max(0, by), length - max(0, -by))


def by_rows(values: Tensor) -> Float[Tensor, "positions c"]:
    """Flatten positions along one axis, in float64."""
    last = values.movedim(1, -1) if values.ndim == 4 else values
    return last.reshape(-1, last.shape[-1]).double()


def _weight(fitted: Examples, alpha: Float[Tensor, "positions d"], kernel_size: int) -> Tensor:
    """Return U^T alpha in the shape of a weight; on maps a sum over shifts of pixel products."""
    x = fitted.inputs
    if x.ndim != 4:
        return alpha.T @ by_rows(x)
    n, channels, height, width = x.shape
    wide = alpha.shape[1]
    of_maps = alpha.reshape(n, height, width, wide)
    found = alpha.new_zeros(wide, channels, kernel_size, kernel_size, dtype=torch.float32)
    reach = kernel_size // 2
    for row in range(kernel_size):
        for column in range(kernel_size):
            at_y, from_y = _shifted(row - reach, height)
            at_x, from_x = _shifted(column - reach, width)
            of = of_maps[:, at_y, at_x].reshape(-1, wide).float()
            found[:, :, row, column] = of.T @ x[:, :, from_y, from_x].movedim(1, -1).reshape(
                -1, channels
            ).to(of)
    return found


def gathered(batches: Iterable[tuple[Tensor, Tensor]]) -> Examples:
    """Concatenate batches."""
    return Examples(*(torch.cat(side) for side in zip(*batches, strict=True)))
