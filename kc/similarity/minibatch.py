"""Linear CKA by minibatch, for features too wide for a matrix of their units."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

WIDTH = 8192
"""Units that are multiplied in float64 at a time."""


def minibatch_cka(batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    r"""Linear CKA from the unbiased HSIC_1 of minibatches [Nguyen2021, Eqs. (2), (3)].

    .. math:: \frac{\sum_b \mathrm{HSIC}_1(K_b, L_b)}
        {\sqrt{\sum_b \mathrm{HSIC}_1(K_b, K_b)} \sqrt{\sum_b \mathrm{HSIC}_1(L_b, L_b)}}

    Each HSIC_1 has the same expectation whatever the batch's size, so the estimate is about that
    of one batch of all rows (which is ``linear_cka(..., debiased=True)`` exactly), with more noise
    the smaller the batches.

    Parameters
    ----------
    batches
        Source ``(n, *source)`` and target ``(n, *target)`` of a batch, n at least 4, any unit.
        Held: a batch, and three (n, n) matrices.

    Returns
    -------
    float
        NaN where a feature's own sum is not above 0.
    """
    return float(cka_matrix(([x], [y]) for x, y in batches))


@torch.no_grad()
def cka_matrix(
    batches: Iterable[tuple[Sequence[Tensor], Sequence[Tensor]]],
) -> Float[Tensor, "a b"]:
    """Return :func:`minibatch_cka` of each of some features with each of others.

    ``batches``: of each minibatch, the features of both kinds, ``(n, *shape)``, n at least 4. Each
    feature's kernel is made once a batch, whatever it is compared with.
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
    r"""Return the unbiased HSIC of two kernels, their diagonals 0 [Song2012, Eq. (5)].

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
    """Multiply rows about their mean (HSIC_1 does not see it, rounding does); diagonal 0."""
    flat = x.flatten(1)
    found = torch.zeros(len(x), len(x), dtype=torch.float64, device=x.device)
    for part in torch.split(flat, WIDTH, dim=1):
        wide = part.double()
        wide = wide - wide.mean(0)
        found.addmm_(wide, wide.T)
    return found.fill_diagonal_(0)
