"""The data of a fit of g, and the measurement of g on it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kc.consistency.data import FeaturePair
from kc.consistency.decompose import Normalisation
from kc.consistency.net import ConsistencyNet
from kc.consistency.order import Rows, shuffled
from kc.consistency.variance import Moments
from kc.settings.reconstruction import Consistency


@dataclass(frozen=True)
class FitTask:
    """Features, their units, fitted and held-out rows, and the settings."""

    pair: FeaturePair
    units: Normalisation
    fitted: Rows
    held: Rows
    settings: Consistency
    """Its penalty is a number."""
    seed: int
    batch: int = 128
    """Images that are read at a time outside training."""

    @property
    def penalty(self) -> float:
        """Lambda, on the sum of p^2."""
        return float(self.settings.penalty)

    def epoch(self, number: int, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Return the batches of one epoch, in g's units."""
        blocks = (self.pair.block_rows, self.settings.buffer_shards)
        order = shuffled(self.fitted, batch, self.seed, number, *blocks)
        for x, y in self.pair.batches(order):
            yield self.units.source(x), self.units.target(y)

    def in_order(self, rows: Rows) -> Iterator[tuple[Tensor, Tensor]]:
        """Return batches of rows from first to last, in g's units."""
        for x, y in self.pair.in_order(rows, self.batch):
            yield self.units.source(x), self.units.target(y)


def mean_squared_error(net: ConsistencyNet, task: FitTask, rows: Rows) -> float:
    """Return the mean over images and elements of (g(x) - x*)^2, in evaluation mode."""
    net.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for x, y in task.in_order(rows):
            total += float((net(x) - y).square().sum(dtype=torch.float64))
            count += y.numel()
    return total / count


def settle_variance(
    net: ConsistencyNet, task: FitTask, rows: Rows, orders: Sequence[int] | None = None
) -> None:
    """Set Sigma to the exact variance over the rows, one pass for each order, K down to 1.

    Sigma(k) depends only on the gains of the orders above k, so ``orders`` may be fewer.
    """
    if net.sigma == "image":
        return
    net.eval()
    with torch.no_grad():
        for k in range(net.order, 0, -1) if orders is None else orders:
            found = Moments()
            for x, _ in task.in_order(rows):
                found.add(net.hidden(x, k)[None], net.channel_axis)
            net.variance[k - 1] = found.channel_variance[0]
