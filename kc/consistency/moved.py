"""Move the linear part of the orders of g to order 0."""

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from kc.consistency.data import FeaturePair
from kc.consistency.decompose import Normalisation, decompose, exact_products
from kc.consistency.equations import normal_equations, positions_in, ridge
from kc.consistency.ladder import Subsets, task_of
from kc.consistency.net import ConsistencyNet
from kc.consistency.order import Rows
from kc.consistency.result import FitResult
from kc.consistency.task import FitTask
from kc.consistency.variance import Moments
from kc.settings.reconstruction import Consistency


def moved_shares(
    result: FitResult, pair: FeaturePair, subsets: Subsets, settings: Consistency
) -> pd.DataFrame:
    """Return the shares of orders after their linear part is moved to order 0.

    Half of a ReLU is linear and may be in either order. So each x^(k), k >= 1, is
    regressed on the patches of the source that W(0) sees with all gains shut (on the training
    images, about each channel's mean, ridge by the validation cut), and the fitted part goes into
    x^(0). The sum stays g(x). Constants stay where they are.

    Returns
    -------
    DataFrame
        One row for each subset; ``x0_linear``, ``x1_beyond``, ..., in units of Var(x*).
    """
    orders = result.net.order
    names = ["x0_linear", *(f"x{k}_beyond" for k in range(1, orders + 1))]
    found = {}
    with exact_products(), torch.no_grad():
        moved = _linear_parts(result, pair, settings) if orders else None
        for name, rows in subsets.items():
            variances = _moments(result, moved, pair, rows).variance(result.about.centring)
            found[name] = dict(zip(names, (variances[:-1] / variances[-1]).tolist(), strict=True))
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("subset")


class _Linear(NamedTuple):
    """The linear part of all orders above 0: one map whose channels are those of each order."""

    net: ConsistencyNet
    units: Normalisation
    """Units of the source."""
    scale: float
    """Factor for the map's output, which is in units of the target's standard deviation."""

    def parts(self, x: Tensor, orders: int) -> Float[Tensor, "orders n *target"]:
        axis = self.net.channel_axis
        found = self.net(self.units.source(x)) * self.scale
        return torch.stack(found.chunk(orders, dim=axis))


def _linear_parts(result: FitResult, pair: FeaturePair, settings: Consistency) -> _Linear:
    kernel = result.net.kernel_size if result.net.on_maps else 1
    task = task_of(result, pair, kernel, settings)
    orders, axis = result.net.order, result.net.channel_axis
    shape = list(pair.target_shape)
    shape[0 if axis == 1 else -1] *= orders
    net = ConsistencyNet(pair.source_shape, tuple(shape), 0, kernel, seed=0).to(pair.device)
    means = Moments()
    for parts, _ in _higher(result, task, task.fitted):
        means.add(parts[None], axis)
    mean = means.mean[0].float()
    mean = mean[:, None, None] if axis == 1 else mean
    equations = [
        normal_equations(
            net, _centred(result, task, rows, mean), positions_in(net, rows), task.seed
        )
        for rows in (task.fitted, task.held)
    ]
    net.weights[0].copy_(ridge(*equations).T.reshape(net.weights[0].shape))
    return _Linear(net, task.units, task.units.target_std)


def _higher(result: FitResult, task: FitTask, rows: Rows) -> Iterator[tuple[Tensor, Tensor]]:
    """Return the orders above 0, concatenated by channel, and the source, block by block."""
    for x, y in task.pair.in_order(rows, task.batch):
        components = decompose(result.net, result.normalisation, x, y).components[1:]
        yield torch.cat(list(components), dim=result.net.channel_axis), x


def _centred(
    result: FitResult, task: FitTask, rows: Rows, mean: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    for parts, x in _higher(result, task, rows):
        yield task.units.source(x), (parts - mean) / task.units.target_std


def _moments(result: FitResult, linear: _Linear | None, pair: FeaturePair, rows: Rows) -> Moments:
    """Return the moments of the orders, their linear part moved, and of the target."""
    found = Moments()
    for x, y in pair.in_order(rows):
        parts = decompose(result.net, result.normalisation, x, y).components
        if linear is not None:
            moved = linear.parts(x, len(parts) - 1)
            parts = torch.cat([parts[:1] + moved.sum(0), parts[1:] - moved])
        found.add(torch.cat([parts, y[None]]), result.net.channel_axis)
    return found
