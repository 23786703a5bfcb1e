"""Solve for the best linear map from the input of W(0), by the ridge that its size allows.

Primal: moments of patches, u x u. Dual: inner products of positions, n x n, if they are fewer.
If both are too many: only the leading principal channels are used, so that u is small again.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from kc.consistency.basis import InputMoments, traces
from kc.consistency.dual import dual_ridge, gathered
from kc.consistency.equations import equations_of, positions_in, ridge
from kc.consistency.net import ConsistencyNet, apply_weight, channels_of, inputs_of
from kc.consistency.order import Rows
from kc.consistency.task import FitTask
from kc.consistency.traces import traces_of

MANY = 8_000
"""Most units of a patch, or positions, for a square matrix of them."""
LEADING = 3_456
"""Units of a patch if only leading channels are used: 384 channels, 3 x 3."""
SAMPLE = 8_192
"""Positions from which moments of inputs are computed if those of patches are not."""


class LinearMap(NamedTuple):
    """A weight, and the projection before it if only leading channels are used."""

    weight: Float[Tensor, "d c *kernel"]
    leading: Float[Tensor, "q c *kernel"] | None = None

    def apply(self, u: Tensor) -> Tensor:
        """Apply the map to maps or rows of units."""
        narrow = u if self.leading is None else apply_weight(u, self.leading)
        return apply_weight(narrow, self.weight)

    def dense(self) -> Float[Tensor, "d c *kernel"]:
        """Return the equivalent single weight."""
        if self.leading is None:
            return self.weight
        return torch.einsum("dq...,qc->dc...", self.weight, self.leading.flatten(1))


class Solved(NamedTuple):
    """A linear map, and the moments of its inputs."""

    best: LinearMap
    moments: InputMoments


@torch.no_grad()
def best_linear(net: ConsistencyNet, task: FitTask) -> Solved:
    """Return the best linear map from the current input of W(0), chosen on the validation cut.

    The map is the full one, even if W(0) is factorised.
    """
    positions, side = positions_in(net, task.fitted), _side(net)
    units = inputs_of(side, net.source_shape)
    if units > positions and positions <= MANY:
        fitted, held = (gathered(_fed(net, task, rows)) for rows in (task.fitted, task.held))
        best = LinearMap(dual_ridge(fitted, held, side))
        return Solved(best, traces_of(torch.split(fitted.inputs, task.pair.block_rows), side))
    if units <= MANY:
        solution, patches = _primal(net, task, None)
        return Solved(LinearMap(solution), traces(patches, channels_of(net.source_shape)))
    moments = moments_of(net, task)
    leading = _leading_channels(moments, max(1, LEADING // len(moments.taps)))
    leading = leading.reshape(*leading.shape, *([1, 1] if net.on_maps else []))
    return Solved(LinearMap(_primal(net, task, leading)[0], leading), moments)


@torch.no_grad()
def moments_of(net: ConsistencyNet, task: FitTask) -> InputMoments:
    """Return partial traces of the second moments of W(0)'s inputs, from some of the rows."""
    rows = task.fitted
    kept = max(1, len(rows) * SAMPLE // positions_in(net, rows))
    chosen = rows[:: max(1, len(rows) // kept)]
    return traces_of((u for u, _ in _fed(net, task, chosen)), _side(net))


def _primal(net: ConsistencyNet, task: FitTask, first: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the weight and the moments of patches."""
    fitted = equations_of(net, task, task.fitted, first)
    solution = ridge(fitted, equations_of(net, task, task.held, first))
    kernel = (net.kernel_size, net.kernel_size) if net.on_maps else ()
    return solution.T.reshape(solution.shape[1], -1, *kernel).float(), fitted.patches


def _leading_channels(moments: InputMoments, number: int) -> Float[Tensor, "q c"]:
    """Return the principal directions of channels, without subtracting means."""
    _, vectors = torch.linalg.eigh(moments.channels)
    leading: Tensor = vectors[:, -number:].T.contiguous()
    return leading.float()


def _fed(net: ConsistencyNet, task: FitTask, rows: Rows) -> Iterator[tuple[Tensor, Tensor]]:
    net.eval()
    for x, y in task.in_order(rows):
        yield net.last_input(x), y


def _side(net: ConsistencyNet) -> int:
    return net.kernel_size if net.on_maps else 1
