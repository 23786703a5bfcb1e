r"""Similarity measures of two features, computed from second moments.

Below, X ``(n, p)`` and Y ``(n, q)`` hold one row for each sample, their column means removed.
[Kornblith2019] is Similarity of Neural Network Representations Revisited (ICML), [Raghu2017]
SVCCA (NeurIPS), [Morcos2018] Insights on Representational Similarity (NeurIPS), [Song2012]
Feature Selection via Dependence Maximization (JMLR).

Invariances, for X and for Y: to orthogonal maps and scaling: CKA, Procrustes, SVCCA, mean CCA; to
any invertible linear map: only mean CCA; only to scaling: PWCCA.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from kc.consistency.variance import Centring
from kc.similarity.moments import JointMoments

KEPT = 0.99
"""Share of each feature's variance that SVCCA keeps [Raghu2017]."""
RANK = 1e-10
"""Directions of less variance, in units of the largest, are rounding and left out."""
RIDGE = 1e-12
"""Ridge of the linear map in units of the source's sum of squares: just enough to solve it."""


class TargetUnits(NamedTuple):
    """Units of a target whose columns are not its units."""

    number: int
    """Units of the target."""
    mean: Float[Tensor, " q"]
    """Weights of the columns that give a row's mean over its units."""


def linear_cka(moments: JointMoments, debiased: bool = True) -> float:
    r"""Return linear centred kernel alignment, in [0, 1] (debiased: up to noise about 0).

    .. math:: \frac{\|X^\top Y\|_F^2}{\|X^\top X\|_F \, \|Y^\top Y\|_F}

    [Kornblith2019, Eq. (5)]. ``debiased`` puts the unbiased HSIC_1 of [Song2012, Eq. (5)] in place
    of each norm. For linear kernels of centred rows, with k = \|x_i\|^2 and l = \|y_i\|^2,

    .. math:: n (n - 3) \, \mathrm{HSIC}_1 = \|X^\top Y\|_F^2 - \frac{n}{n - 2} \sum_i k_i l_i
        + \frac{\sum_i k_i \sum_i l_i}{(n - 1)(n - 2)}

    so it is exact over all rows without an (n, n) matrix. It assumes independent rows. NaN if the
    HSIC_1 of a feature with itself is not above 0 (with very few rows).
    """
    products = [moments.source, moments.cross, moments.target]
    xx, xy, yy = (float(product.square().sum()) for product in products)
    if debiased:
        n = moments.rows
        k, l = float(moments.source.trace()), float(moments.target.trace())  # noqa: E741
        xx = _hsic1(xx, float(moments.norms[0, 0]), k * k, n)
        xy = _hsic1(xy, float(moments.norms[0, 1]), k * l, n)
        yy = _hsic1(yy, float(moments.norms[1, 1]), l * l, n)
    return xy / math.sqrt(xx * yy) if min(xx, yy) > 0 else math.nan


def _hsic1(product: float, of_norms: float, of_traces: float, n: int) -> float:
    return product - of_norms * n / (n - 2) + of_traces / ((n - 1) * (n - 2))


def procrustes(moments: JointMoments) -> float:
    r"""Return orthogonal Procrustes similarity, in [0, 1].

    .. math:: \frac{\|X^\top Y\|_*}{\|X\|_F \, \|Y\|_F} = 1 - \tfrac12 \min_{R^\top R = 1}
        \Big\| \frac{X R}{\|X\|_F} - \frac{Y}{\|Y\|_F} \Big\|_F^2

    [Schoenemann1966; Williams2021, Generalized Shape Metrics]. The narrower feature is padded with
    zeros.
    """
    scale = math.sqrt(float(moments.source.trace()) * float(moments.target.trace()))
    return float(torch.linalg.svdvals(moments.cross).sum()) / scale


class Principal(NamedTuple):
    """Principal directions of one feature, the largest first, without zero variance."""

    values: Float[Tensor, " r"]
    """Sums of squares along each direction."""
    vectors: Float[Tensor, "p r"]


class Whitened(NamedTuple):
    """Two features along their principal directions, each scaled to length 1."""

    rows: int
    source: Principal
    target: Principal
    cross: Float[Tensor, "r s"]
    """Correlations of the directions; its singular values are the canonical correlations."""


@torch.no_grad()
def whiten(moments: JointMoments) -> Whitened:
    """Return both features along their principal directions, for all CCA measures."""
    source, target = _principal(moments.source), _principal(moments.target)
    left = source.vectors / source.values.sqrt()
    right = target.vectors / target.values.sqrt()
    return Whitened(moments.rows, source, target, left.T @ moments.cross @ right)


def mean_cca(whitened: Whitened) -> float:
    r"""Return the mean of canonical correlations, in [0, 1] [Kornblith2019, Table 1, mean CCA rho].

    .. math:: \frac{1}{\min(r, s)} \sum_i \rho_i

    with r and s the ranks of X and Y. NaN if r + s > n - 1: then some correlations are 1 for any
    features.
    """
    return _mean_correlation(whitened.cross, whitened.rows)


def svcca(whitened: Whitened, kept: float = KEPT) -> float:
    """Return mean CCA of the leading principal directions, in [0, 1] [Raghu2017].

    Of each feature the fewest directions are used that hold ``kept`` of its variance. NaN as in
    :func:`mean_cca`, for the directions kept.
    """
    r = _leading(whitened.source.values, kept)
    s = _leading(whitened.target.values, kept)
    return _mean_correlation(whitened.cross[:r, :s], whitened.rows)


def pwcca(whitened: Whitened) -> float:
    r"""Return canonical correlations weighted by their part of a feature, in [0, 1] [Morcos2018].

    .. math:: \frac{\sum_i \alpha_i \rho_i}{\sum_i \alpha_i}, \qquad
        \alpha_i = \sum_j | \langle h_i, z_j \rangle |

    with h_i the canonical variables and z_j the units of the feature of lower rank, so that each of
    its directions has a weight. Differs from the authors' code: for equal ranks the units are the
    target's, not the source's. NaN as in :func:`mean_cca`.
    """
    if _too_few(whitened.cross, whitened.rows):
        return math.nan
    left, correlations, right = torch.linalg.svd(whitened.cross, full_matrices=False)
    of_target = whitened.cross.shape[1] <= whitened.cross.shape[0]
    side, along = (whitened.target, right) if of_target else (whitened.source, left.T)
    weights = (along * side.values.sqrt() @ side.vectors.T).abs().sum(1)
    return float((weights * correlations.clamp_max(1)).sum() / weights.sum())


@torch.no_grad()
def linear_share(
    train: JointMoments,
    test: JointMoments,
    units: TargetUnits | None = None,
    ridge: float = RIDGE,
    centring: Centring = "layer",
) -> float:
    r"""Return the share of the target's variance that the best linear map misses on test rows.

    .. math:: \frac{\mathrm{Var}(y - W^\top x - b)}{\mathrm{Var}(y)}, \qquad
        W = (X^\top X + \epsilon I)^{-1} X^\top Y

    Least squares with an intercept b, on the training rows; both Var on the test rows, each about
    one mean over rows and units [Liang2020, Sec. 4.2], so that it is comparable with the share of
    x^Delta (and also depends on the basis of Y if its columns differ in mean): the fraction of
    variance unexplained, 1 - R^2. 0: all of y is linear in x; 1: nothing; above 1: worse than the
    mean. Of many solutions (fewer rows than units), the smallest is used. Differs from g with
    K = 0: an intercept for each unit, no neighbouring positions, no early stop.

    Parameters
    ----------
    train, test
        Moments of the rows to fit the map on, and of the rows to measure it on.
    units
        Units, if the target's columns are not its units (:mod:`kc.similarity.row_formulas`).
    ridge
        Epsilon in units of the sum of all squares of X, its units first scaled to the same size
        if there are more rows than units.
    centring
        ``channel``: both Var are about each unit's mean instead.
    """
    q = train.cross.shape[1]
    if units is None:
        units = TargetUnits(q, torch.full_like(test.target_mean, 1 / q))
    scale = torch.ones_like(train.source_mean)
    if train.rows > len(scale):
        # the solution is unique for any scale of units: the ridge must not suppress small ones
        scale = train.source.diagonal().clamp_min(0).sqrt()
        scale = torch.where(scale > 0, scale, 1.0)
    damped = train.source / scale[:, None] / scale
    damped.diagonal().add_(ridge * damped.trace())
    solution = torch.cholesky_solve(train.cross / scale[:, None], torch.linalg.cholesky(damped))
    solution = solution / scale[:, None]
    shift = test.target_mean - train.target_mean
    shift = shift - (test.source_mean - train.source_mean) @ solution
    within = test.target.trace() - 2 * (solution * test.cross).sum()
    within = within + (solution * (test.source @ solution)).sum()
    if centring == "channel":
        return float(within / test.target.trace())
    missed = _variance(within / test.rows, shift, units)
    return missed / _variance(test.target.trace() / test.rows, test.target_mean, units)


def _variance(within: Tensor, means: Tensor, units: TargetUnits) -> float:
    """Return Var about one mean, from the sum of the columns' variances and their means."""
    squares = (within + means.square().sum()) / units.number
    return float(squares - (units.mean @ means).square())


def _principal(products: Float[Tensor, "p p"]) -> Principal:
    values, vectors = torch.linalg.eigh(products)
    values, vectors = values.flip(0), vectors.flip(1)
    rank = int((values > RANK * values[0]).sum())
    return Principal(values[:rank], vectors[:, :rank])


def _leading(values: Tensor, kept: float) -> int:
    held = values.cumsum(0) / values.sum()
    return min(int((held < kept).sum()) + 1, len(values))


def _mean_correlation(cross: Tensor, rows: int) -> float:
    if _too_few(cross, rows):
        return math.nan
    return float(torch.linalg.svdvals(cross).clamp_max(1).mean())


def _too_few(cross: Float[Tensor, "r s"], rows: int) -> bool:
    """Return whether there are too few rows, so that some correlations are always 1."""
    return sum(cross.shape) > rows - 1
