"""Ridge regression from second moments of patches, summed block by block in float64.

The validation cut chooses among the ridge strengths.
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from kc.consistency.net import ConsistencyNet, apply_weight, positions_of
from kc.consistency.order import Rows
from kc.consistency.task import FitTask

POSITIONS = 131_072
"""Most positions in the normal equations: with more, the estimate hardly changes."""
COLUMN_BLOCKS = 4
"""Column blocks of u^T u: saves 3/8 of the products and of the time (0.59 to 0.64 measured)."""
STRENGTHS = (0.0, 1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 10.0)
"""Ridge strengths tried, in units of the mean eigenvalue of the patches' second moments."""

POWERS = 10
"""Steps of the power iteration."""

Batches = Iterable[tuple[Tensor, Tensor]]


class NormalEquations(NamedTuple):
    """Second moments of patches u and targets y, means over positions, float64."""

    patches: Float[Tensor, "u u"]
    cross: Float[Tensor, "u d"]
    target: float
    """Mean over positions of the squared norm of y."""


@torch.no_grad()
def normal_equations(
    net: ConsistencyNet,
    batches: Batches,
    positions: int,
    seed: int,
    first: Tensor | None = None,
) -> NormalEquations:
    """Sum the normal equations of W(0) over batches, in evaluation mode.

    ``positions``: the number in all batches; above ``POSITIONS``, an equal share of each batch is
    drawn at random by ``seed``. ``first``: a weight that is applied before patches are taken, to
    solve for the weight after it.
    """
    generator = torch.Generator().manual_seed(seed)
    patches: Tensor | None = None
    cross, target, count = torch.zeros(()), 0.0, 0
    net.eval()
    for x, y in batches:
        inputs = net.last_input(x)
        if first is not None:
            inputs = apply_weight(inputs, first)
        u, v = _patches(net, inputs), y.movedim(net.channel_axis, -1).flatten(0, -2)
        if positions > POSITIONS:
            kept = max(1, round(len(u) * POSITIONS / positions))
            chosen = torch.randperm(len(u), generator=generator)[:kept].to(u.device)
            u, v = u[chosen], v[chosen]
        if patches is None:
            patches = torch.zeros(u.shape[1], u.shape[1], dtype=torch.float64, device=u.device)
            cross = torch.zeros(u.shape[1], v.shape[1], dtype=torch.float64, device=u.device)
        _add_products(patches, u)
        cross += u.T @ v
        target += float(v.double().square().sum())
        count += len(u)
    assert patches is not None
    patches = patches.tril() + patches.tril(-1).T
    return NormalEquations(patches / count, cross / count, target / count)


def _add_products(moments: Tensor, u: Tensor) -> None:
    """Add u^T u by blocks of columns, from the diagonal down: the rest follows by symmetry."""
    width = -(-len(moments) // COLUMN_BLOCKS)
    for begin in range(0, len(moments), width):
        end = begin + width
        moments[begin:, begin:end] += u[:, begin:].T @ u[:, begin:end]


def ridge(fitted: NormalEquations, validation: NormalEquations) -> Float[Tensor, "u d"]:
    """Solve least squares with the ridge strength that does best on the validation cut."""

    def error(solution: Tensor) -> float:
        missed = (solution * (validation.patches @ solution - 2 * validation.cross)).sum()
        return float(validation.target + missed) / solution.shape[1]

    return best_damped(fitted.patches, fitted.cross, fitted.patches.diagonal().mean(), error)


def best_damped(
    matrix: Float[Tensor, "u u"],
    wanted: Float[Tensor, "u d"],
    mean: Tensor | float,
    error: Callable[[Tensor], float],
) -> Float[Tensor, "u d"]:
    r"""Return :math:`(M + \rho I)^{-1} B` of least ``error``; strengths are in units of ``mean``.

    One Cholesky factorisation for each strength: for all of them a fifth of the operations of an
    eigendecomposition.
    """
    # directions that are only rounding are left out even without a ridge
    floor = 1e-10 * _largest(matrix)
    best, least = torch.zeros_like(wanted), math.inf
    damped = torch.empty_like(matrix)
    for strength in STRENGTHS:
        damped.copy_(matrix).diagonal().add_(strength * mean + floor)
        factor, failed = torch.linalg.cholesky_ex(damped)
        if failed:  # only a matrix of zeros, or one of rounding alone
            continue
        solution = torch.cholesky_solve(wanted, factor)
        if (found := error(solution)) < least:
            best, least = solution, found
    return best


def _largest(matrix: Float[Tensor, "u u"]) -> Tensor:
    """Return the largest eigenvalue, within a few percent, by power iteration."""
    vector = matrix.sum(1)
    for _ in range(POWERS):
        vector = matrix @ (vector / vector.norm().clamp_min(1e-300))
    largest: Tensor = vector.norm()
    return largest


def equations_of(
    net: ConsistencyNet, task: FitTask, rows: Rows, first: Tensor | None = None
) -> NormalEquations:
    """Sum the normal equations of W(0), or of what follows its first factor, over rows."""
    return normal_equations(net, task.in_order(rows), positions_in(net, rows), task.seed, first)


def positions_in(net: ConsistencyNet, rows: Rows) -> int:
    """Count the positions that rows hold."""
    return len(rows) * positions_of(net.target_shape)


def _patches(net: ConsistencyNet, x: Tensor) -> Float[Tensor, "positions u"]:
    if not net.on_maps:
        return x.reshape(-1, x.shape[-1])
    unfolded = F.unfold(x, net.kernel_size, padding=net.kernel_size // 2)
    return unfolded.transpose(1, 2).reshape(-1, unfolded.shape[1])
