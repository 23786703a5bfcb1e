r"""Compare layers by inner products of their images: all pairs, and a null of permuted images.

Each measure of a source with inner products K and a target with L (both ``(n, n)``) is

.. math:: \langle F(K), G(L) \rangle = \sum_{ij} F(K)_{ij} \, G(L)_{ij}

so all pairs are one matrix product, and the source's images permuted by pi are
:math:`F(K)_{\pi(i) \pi(j)}`: nothing is computed again. [Huh2024] is The Platonic Representation
Hypothesis (ICML).
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

NEAREST = 10
"""Number of nearest neighbours."""
AT_ONCE = 1e8
"""Bytes of permuted matrices in memory at a time."""
LEAST = 4
"""Fewest images of the unbiased HSIC."""


def cka_form(gram: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    r"""Return the matrix whose product with that of another feature is debiased CKA.

    .. math:: \tilde K_{ij} = K_{ij} - \frac{\sum_l K_{il} + \sum_l K_{lj}}{n - 2}
        + \frac{\sum_{lm} K_{lm}}{(n - 1)(n - 2)}, \quad i \neq j

    with zeros in the diagonals, scaled to norm 1. :math:`\langle \tilde K, \tilde L \rangle` is
    n (n - 3) HSIC_1 [Song2012, Eq. (5)]. NaN for a constant feature, or fewer than 4 images.
    """
    n = len(gram)
    if n < LEAST:
        return torch.full_like(gram, torch.nan)
    bare = gram.clone().fill_diagonal_(0)
    along = bare.sum(0)
    found = bare - (along[:, None] + along) / (n - 2) + along.sum() / ((n - 1) * (n - 2))
    found.fill_diagonal_(0)
    norm = found.norm()
    return found / norm if norm > 0 else torch.full_like(gram, torch.nan)


def neighbours_form(gram: Float[Tensor, "n n"], nearest: int = NEAREST) -> Float[Tensor, "n n"]:
    """Return the matrix whose product with that of another feature is the share of neighbours.

    That is the mean over images of the share of the nearest k, by Euclidean distance, that are
    also among the nearest k in the other feature [Huh2024, mutual k-nearest neighbours]. NaN for a
    constant feature, or at most k images.
    """
    n = len(gram)
    if n <= nearest or not bool(gram.any()):
        return torch.full_like(gram, torch.nan)
    squares = gram.diagonal()
    distances = squares[:, None] + squares - 2 * gram
    chosen = distances.fill_diagonal_(torch.inf).topk(nearest, largest=False).indices
    return torch.zeros_like(gram).scatter_(1, chosen, (n * nearest) ** -0.5)


def permuted_products(
    source: Float[Tensor, "n n"],
    targets: Float[Tensor, "t n n"],
    permutations: Int[np.ndarray, "p n"],
) -> Float[Tensor, "p t"]:
    """Return the products of a source, its images permuted, with each target."""
    n = len(source)
    each = max(1, int(AT_ONCE // (8 * n * n)))
    found, columns = [], targets.reshape(len(targets), -1).T
    for begin in range(0, len(permutations), each):
        some = torch.from_numpy(permutations[begin : begin + each]).to(source.device)
        found.append(source[some[:, :, None], some[:, None]].reshape(len(some), -1) @ columns)
    return torch.cat(found)


def draw_permutations(
    lengths: Sequence[int], number: int, seed: int
) -> Int[np.ndarray, "permutations n"]:
    """Draw permutations of rows that stay within consecutive parts; the first is the identity.

    ``lengths``: of the parts; ``number``: of permutations, without the identity.
    """
    rng = np.random.default_rng(seed)
    begins = np.cumsum([0, *lengths[:-1]])
    drawn = [
        np.concatenate(
            [b + rng.permutation(length) for b, length in zip(begins, lengths, strict=True)]
        )
        for _ in range(number)
    ]
    return np.stack([np.arange(sum(lengths)), *drawn])


def calibrated_similarity(
    found: Float[Tensor, " t"], null: Float[Tensor, "p t"]
) -> Float[Tensor, " t"]:
    """Return (s - s0) / (1 - s0), s0 the mean of the null; NaN where s0 is 1."""
    base = null.mean(0)
    return torch.where(base < 1 - 1e-9, (found - base) / (1 - base), torch.nan)


def calibrated_share(
    missed: Float[Tensor, " t"], null: Float[Tensor, "p t"]
) -> Float[Tensor, " t"]:
    """Return 1 - share / null share, of shares that a map misses; NaN where the null is 0."""
    base = null.mean(0)
    return torch.where(base > 1e-9, 1 - missed / base, torch.nan)


def p_values(found: Float[Tensor, " t"], null: Float[Tensor, "p t"]) -> Float[Tensor, " t"]:
    """Return the share of all values, with the found one, that are at least as high."""
    # permuted sums are rounded in another order
    above = (null >= found - 1e-12).sum(0)
    return torch.where(found.isnan(), torch.nan, (1 + above).double() / (1 + len(null)))
