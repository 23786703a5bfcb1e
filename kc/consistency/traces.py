"""Compute partial traces of the second moments of patches, directly from maps."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from kc.consistency.basis import InputMoments


@torch.no_grad()
def traces_of(inputs: Iterable[Tensor], kernel_size: int) -> InputMoments:
    """Return both traces over batches of inputs, as means over positions, float64.

    A pixel is in as many patches as taps reach it, so the trace over taps is one weighted product
    of pixels; no matrix of patches by patches is needed.
    """
    channels, taps, count = torch.zeros(()), torch.zeros(()), 0
    for u in inputs:
        of_channels, of_taps, positions = _of_batch(u, kernel_size)
        channels, taps, count = channels + of_channels, taps + of_taps, count + positions
    return InputMoments(channels / count, taps / count)


def _of_batch(u: Tensor, kernel_size: int) -> tuple[Tensor, Tensor, int]:
    if u.ndim != 4:
        rows = u.reshape(-1, u.shape[-1])
        products = (rows.T @ rows).double()
        return products, products.trace().reshape(1, 1), len(rows)
    _, _, height, width = u.shape
    once = u.new_ones(1, 1, height, width)
    often = F.fold(
        F.unfold(once, kernel_size, padding=kernel_size // 2),
        (height, width),
        kernel_size,
        padding=kernel_size // 2,
    )
    rows = u.movedim(1, -1).reshape(-1, u.shape[1])
    times = often.flatten().repeat(len(u))[:, None]
    taps = _of_taps(u, kernel_size)
    return (rows.T @ (rows * times)).double(), taps, len(rows)


def _of_taps(u: Tensor, kernel_size: int) -> Tensor:
    """Return the products of each two taps of a patch, summed over channels and positions."""
    reach = kernel_size // 2
    padded = F.pad(u, (reach,) * 4)
    height, width = u.shape[-2:]
    shifted = [
        padded[:, :, row : row + height, column : column + width]
        for row in range(kernel_size)
        for column in range(kernel_size)
    ]
    found = torch.zeros(len(shifted), len(shifted), dtype=torch.float64, device=u.device)
    for first, of_first in enumerate(shifted):
        for second, of_second in enumerate(shifted[: first + 1]):
            found[first, second] = found[second, first] = (of_first * of_second).sum()
    return found
