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


def mean_target(grams: Float[Tensor, "t n n"], parts: ImageParts) -> Float[Tensor, "known known"]:
    """Return the mean of targets, each scaled to variance 1 on validation images.

    What a source misses of it is the mean of what it misses of each target.
    """
    held = slice(parts.fitted, parts.known)
    weights = total_variance(grams, held).reciprocal().nan_to_num(0)
    weights = weights / (weights > 0).sum().clamp_min(1)
    found = grams.new_zeros(parts.known, parts.known)
    for weight, gram in zip(weights, grams, strict=True):
        found += weight * gram[: parts.known, : parts.known]
    return found


@torch.no_grad()
def dual_shares(
    source: Float[Tensor, "n n"],
    targets: Float[Tensor, "t n n"],
    parts: ImageParts,
    permutations: Int[np.ndarray, "p n"],
    mean: Float[Tensor, "known known"] | None = None,
) -> Float[Tensor, "p t"]:
    r"""Return the share of each target's test variance that the source's linear map misses.

    .. math:: \frac{\mathrm{Var}(y - W^\top x - b)}{\mathrm{Var}(y)}

    Both Var about each unit's mean on test images (1 - R^2). The strength is one for a source: the
    best of ``TRIED`` on validation images, averaged over targets; the map is then fitted to all
    training images. It is chosen anew for each permutation of the source's images. NaN where
    source or target is constant.

    Parameters
    ----------
    source, targets
        Inner products, ordered as ``parts`` says (:func:`kc.similarity.grams.image_gram`).
    permutations
        Of the source's images, each within the parts
        (:func:`kc.similarity.gram_measures.draw_permutations`).
    mean
        :func:`mean_target`, if it is known.
    """
    test = slice(parts.known, len(source))
    totals = total_variance(targets, test)
    if not bool(total_variance(source[None], test).isfinite()):
        return totals.new_full((len(permutations), len(targets)), torch.nan)
    mean = mean_target(targets, parts) if mean is None else mean
    known = source[: parts.known, : parts.known]
    forms = {strength: residual_form(known, parts.fitted, strength) for strength in TRIED}
    possible = {strength: form for strength, form in forms.items() if form is not None}
    final: dict[float, Tensor] = {}
    found, columns = [], targets.reshape(len(targets), -1).T
    for order in torch.from_numpy(permutations).to(source.device):
        first = order[: parts.known]
        # permuting the mean back is the same as permuting every form
        back = torch.argsort(first)
        turned = mean[back[:, None], back]
        errors = {s: float((form * turned).sum()) for s, form in possible.items()}
        for strength in sorted(possible, key=lambda one: errors[one]):
            if strength not in final:
                form = residual_form(source, parts.known, strength)
                if form is None:
                    continue
                final[strength] = form
            found.append(final[strength][order[:, None], order].reshape(-1) @ columns / totals)
            break
    return torch.stack(found)
