"""Compute linear CKA by minibatch, for features too wide for a matrix of their units."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

WIDTH = 8192
"""Number of units multiplied at a time in float64."""


def minibatch_cka(batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    r"""Return linear CKA from the unbiased HSIC_1 of minibatches [Nguyen2021, Eqs. (2), (3)].

    .. math:: \frac{\sum_b \mathrm{HSIC}_1(K_b, L_b)}
        {\sqrt{\sum_b \mathrm{HSIC}_1(K_b, K_b)} \sqrt{\sum_b \mathrm{HSIC}_1(L_b, L_b)}}

    The expectation of HSIC_1 does not depend on the batch's size, so the estimate is about that of
    one batch of all rows (exactly ``linear_cka(..., debiased=True)``), with more noise for smaller
    batches.

    Parameters
    ----------
    batches
        Source ``(n, *source)`` and target ``(n, *target)`` of each batch, n at least 4, any unit.
        In memory: a batch, and three (n, n) matrices.

    Returns
    -------
    float
        NaN if the sum of a feature with itself is not above 0.
    """
    return float(cka_matrix(([x], [y]) for x, y in batches))


@torch.no_grad()
def cka_matrix(
    batches: Iterable[tuple[Sequence[Tensor], Sequence[Tensor]]],
) -> Float[Tensor, "a b"]:
    """Return :func:`minibatch_cka` of each feature of one list with each of another.

    ``batches``: of each minibatch, the features of both lists, ``(n, *shape)``, n at least 4. Each
    feature's kernel is computed once for each batch.
    """
    own, across = [torch.zeros(()), torch.zeros(())], torch.zeros(())
    for sides in batches:
        kernels = [[_gram(x) for x in side] for side in sides]
        squares = [torch.stack([hsic1(k, k) for k in side]).cpu() for side in kernels]
        products = torch.stack([hsic1(x, y) for x in kernels[0] for y in kernels[1]]).cpu()
        own = [old + new for old, new in zip(own, squares, strict=True)]
        across = across + products.reshape(len(kernels[0]), len(kernels[1]))
    of_first, of_second = (torch.where(side > 0, side, torch.nan) for side in own)
    return across / (of_first[:, None] * of_second[None]).sqrt()


def hsic1(k: Float[Tensor, "n n"], l: Float[Tensor, "n n"]) -> Float[Tensor, ""]:  # noqa: E741
    r"""Return the unbiased HSIC of two kernels with diagonals 0 [Song2012, Eq. (5)].

    .. math:: \frac{1}{n (n - 3)} \Big[ \mathrm{tr}(\tilde K \tilde L)
        + \frac{1^\top \tilde K 1 \; 1^\top \tilde L 1}{(n - 1)(n - 2)}
        - \frac{2}{n - 2} 1^\top \tilde K \tilde L 1 \Big]
    """
    n = len(k)
    trace = (k * l).sum()
    apart = k.sum() * l.sum() / ((n - 1) * (n - 2))
    along = 2 / (n - 2) * (k.sum(0) @ l.sum(1))
    return (trace + apart - along) / (n * (n - 3))


def _gram(x: Float[Tensor, "n *shape"]) -> Float[Tensor, "n n"]:
    """Return inner products of centred rows, diagonal 0; centring only reduces rounding."""
    flat = x.flatten(1)
    found = torch.zeros(len(x), len(x), dtype=torch.float64, device=x.device)
    for part in torch.split(flat, WIDTH, dim=1):
        wide = part.double()
        wide = wide - wide.mean(0)
        found.addmm_(wide, wide.T)
    return found.fill_diagonal_(0)
