"""Train g as the released code: Adam, 1000 epochs, rates log-spaced over two decades."""

import torch

from kc.consistency.net import ConsistencyNet
from kc.consistency.optimise import Choose, Progress, entry_of, offer, started
from kc.consistency.task import FitTask, settle_variance

EPOCHS = 1000


class Released:
    """Adam 1e-4 to 1e-6 by epoch, coupled decay 1e-4 on q too, batch 64, from random weights.

    Its schedule ends, so any fit would look finished; therefore ``settled`` stays ``no``.
    """

    batch_size = 64

    def __init__(self, net: ConsistencyNet, epochs: int, choose: Choose) -> None:
        self.epochs, self.choose = epochs, choose
        self.optimiser = torch.optim.Adam(net.parameters(), lr=1e-4, weight_decay=1e-4)

    def begin(self, net: ConsistencyNet, task: FitTask) -> Progress:
        """Measure the random weights."""
        settle_variance(net, task, task.fitted)
        entry = started(net, task)
        return Progress([entry], offer(entry, net), ends=1)

    def set_rate(self, epoch: int) -> None:
        """Set the rate of the schedule."""
        rate = 1e-4 * 10 ** (-2 * epoch / max(1, self.epochs - 1))
        self.optimiser.param_groups[0]["lr"] = rate

    def close(
        self, net: ConsistencyNet, task: FitTask, progress: Progress, train_mse: float
    ) -> None:
        """Set Sigma over all fitted images and measure the epoch."""
        settle_variance(net, task, task.fitted)
        entry = entry_of(net, task, progress.epoch, "epoch", train_mse)
        progress.measured(net, entry, self.choose)
        progress.ends = progress.epoch + 1
