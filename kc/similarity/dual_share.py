r"""Compute what the best linear maps of flattened features miss, from inner products of images.

Dual ridge regression from images f of a source (inner products K, less the mean of f) predicts
the target of images h as :math:`\bar y + H (y_f - \bar y)`, with

.. math:: H = K_{hf} (K_{ff} + \rho I)^{-1}

so with N = C [-H, I], C the removal of the mean of h, the missed variance of any target with
inner products L is :math:`\mathrm{tr}(N L N^\top) = \langle N^\top N, L \rangle`.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from kc.consistency.equations import STRENGTHS
from kc.similarity.grams import centred_about

TRIED = (*STRENGTHS, 100.0, math.inf)
"""Ridge strengths, in units of the mean of the diagonal of K; infinite: the mean alone."""
FLOOR = 1e-10
"""Ridge in units of the sum of the diagonal: just enough to solve a K that is not of full rank."""


class ImageParts(NamedTuple):
    """Numbers of images: inner products have them in this order."""

    fitted: int
    validation: int
    test: int

    @property
    def known(self) -> int:
        """Number of training images."""
        return self.fitted + self.validation


def residual_form(
    gram: Float[Tensor, "n n"], fitted: int, strength: float
) -> Float[Tensor, "n n"] | None:
    """Return N^T N of a source: the first ``fitted`` images are f, the others h.

    None if the source cannot be solved with this strength.
    """
    n = len(gram)
    found = gram.new_zeros(n - fitted, n)
    found[:, fitted:] = torch.eye(n - fitted, dtype=gram.dtype, device=gram.device)
    if math.isfinite(strength):
        about = centred_about(gram, slice(fitted))
        damped, total = about[:fitted, :fitted].clone(), float(about[:fitted].trace())
        damped.diagonal().add_(strength * total / fitted + FLOOR * total)
        factor, failed = torch.linalg.cholesky_ex(damped)
        if failed:
            return None
        weights = torch.cholesky_solve(about[:fitted, fitted:], factor).T
        found[:, :fitted] = weights.mean(1, keepdim=True) - weights
    found -= found.mean(0)
    return found.T @ found


def total_variance(grams: Float[Tensor, "t n n"], rows: slice) -> Float[Tensor, " t"]:
    """Return the sum of squares of each feature about the mean of some rows; NaN for 0."""
    some = grams[:, rows, rows]
    found = some.diagonal(dim1=1, dim2=2).sum(1) - some.sum((1, 2)) / some.shape[1]
    scale = some.diagonal(dim1=1, dim2=2).abs().sum(1)
    return torch.where(found > 1e-12 * scale, found, torch.nan)


class TargetGrams(NamedTuple):
    """Inner products of several targets, as :func:`dual_shares` multiplies them."""

    columns: Float[Tensor, "t nn"]
    """Of all images, a view of the given ones."""
    known: Float[Tensor, "t kk"]
    """Of training images."""
    totals: Float[Tensor, " t"]
    """Sums of squares about the mean of the test images."""

    @classmethod
    def of(cls, grams: Float[Tensor, "t n n"], parts: ImageParts) -> "TargetGrams":
        """Prepare targets; images are in the order of ``parts``."""
        known = grams[:, : parts.known, : parts.known].reshape(len(grams), -1)
        totals = total_variance(grams, slice(parts.known, None))
        return cls(grams.reshape(len(grams), -1), known, totals)


@torch.no_grad()
def dual_shares(
    source: Float[Tensor, "n n"],
    targets: TargetGrams,
    parts: ImageParts,
    permutations: Int[np.ndarray, "p n"],
) -> Float[Tensor, "p t"]:
    r"""Return the share of each target's test variance that the source's linear map misses.

    .. math:: \frac{\mathrm{Var}(y - W^\top x - b)}{\mathrm{Var}(y)}

    Both Var about each unit's mean on test images (1 - R^2). The strength is the best of ``TRIED``
    for this pair on validation images, chosen anew for each permutation; the map is then fitted
    to all training images. NaN where source or target is constant.

    Parameters
    ----------
    source
        Inner products, ordered as ``parts`` says (:func:`kc.similarity.grams.image_gram`).
    permutations
        Of the source's images, each within the parts
        (:func:`kc.similarity.gram_measures.draw_permutations`).
    """
    totals = targets.totals
    if not bool(total_variance(source[None], slice(parts.known, None)).isfinite()):
        return totals.new_full((len(permutations), len(totals)), torch.nan)
    known = source[: parts.known, : parts.known]
    tried = torch.stack([_form_from(known, parts.fitted, k) for k in range(len(TRIED))])
    final: dict[int, Tensor] = {}
    found = []
    for order in torch.from_numpy(permutations).to(source.device):
        first = order[: parts.known]
        errors = tried[:, first[:, None], first].flatten(1) @ targets.known.T
        chosen, place = torch.unique(errors.argmin(0), return_inverse=True)
        for number in chosen.tolist():
            if number not in final:
                final[number] = _form_from(source, parts.known, number)
        forms = torch.stack([final[k][order[:, None], order].flatten() for k in chosen.tolist()])
        missed = forms @ targets.columns.T
        found.append(missed.gather(0, place[None])[0] / totals)
    return torch.stack(found)


def _form_from(gram: Tensor, fitted: int, number: int) -> Tensor:
    """Return the form of a strength of ``TRIED``, or of the next larger one that can be solved."""
    forms = (residual_form(gram, fitted, strength) for strength in TRIED[number:])
    # without a map, the infinite strength, nothing has to be solved
    return next(form for form in forms if form is not None)
