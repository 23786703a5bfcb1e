"""Train g under ``paper``: rounds of averaged AdamW, with W(0) solved after each.

A round begins where the last ended, with the initial learning rate and a new average, and is half
as long as all before it. So its gain shows what longer training would bring, which is all that
the stopping rule (:mod:`kc.consistency.finish`) needs.
"""

from typing import Any

import torch

from kc.consistency.basis import InputMoments, basis_of
from kc.consistency.finish import at_rest, settled
from kc.consistency.linear import moments_of
from kc.consistency.net import ConsistencyNet, positions_of
from kc.consistency.optimise import Choose, Progress, entry_of, offer, started
from kc.consistency.schedule_free import ScheduleFree
from kc.consistency.start import solve, solve_first
from kc.consistency.task import FitTask, settle_variance
from kc.settings.reconstruction import Optimiser

STEPS = 60
"""Fewest steps of a round."""
BATCH = 1_024
"""Most positions of a batch if W is factorised: its steps are slow, and these are enough."""
INPUTS = 576
"""Inputs of a weight (64 channels, 3 x 3) for which rate and decay are given. The size of weights
is one over the root of their inputs; so the rate is divided by that root and the decay multiplied
by it, and the relative change per step is the same for all weights."""
SHUT, OPEN = 0.0, 0.5
"""Gains with which W(0) is solved: for the linear map, and for training (the released p)."""


class Rounds:
    """AdamW without a schedule, decoupled decay only on W, a separate rate for q.

    q needs a larger rate: with that of W it still changes after a thousand epochs. Under
    ``closed_form_start`` W(0) is solved at the start and after each round.
    """

    warm = False
    """Whether training starts from a trained network, whose W(0) is not solved at the start."""

    def __init__(
        self, net: ConsistencyNet, settings: Optimiser, epochs: int, choose: Choose
    ) -> None:
        self.epochs, self.choose, self.closed = epochs, choose, settings.closed_form_start
        self.batch_size, self.improvement = settings.batch_size, settings.improvement
        if net.rank is not None:
            most = BATCH // positions_of(net.target_shape)
            self.batch_size = max(1, min(self.batch_size, most))
        groups: list[dict[str, Any]] = []
        for weight in net.weights:
            scale = (INPUTS / weight[0].numel()) ** 0.5
            rates = {"lr": settings.learning_rate * scale}
            rates["weight_decay"] = settings.weight_decay / scale
            groups.append({"params": [weight], **rates})
        groups.append(
            {"params": [net.logits], "lr": settings.gain_learning_rate, "weight_decay": 0.0}
        )
        self.optimiser = ScheduleFree(groups)

    def begin(self, net: ConsistencyNet, task: FitTask) -> Progress:
        """Measure the best linear map, then open the gains and solve W(0) again."""
        if self.warm or not self.closed:
            settle_variance(net, task, task.fitted)
            return self._begun(net, task, moments_of(net, task))
        orders = range(net.order, 0, -1)
        settle_variance(net, task, task.fitted, orders[:1])
        _set_gains(net, SHUT)
        linear = None if net.rank is None else solve_first(net, task)
        progress = self._begun(net, task, solve(net, task))
        progress.linear = linear
        if net.order:
            _set_gains(net, OPEN)
            settle_variance(net, task, task.fitted, orders[1:])
            self._begin_average(net, solve(net, task))
        return progress

    def _begun(self, net: ConsistencyNet, task: FitTask, moments: InputMoments) -> Progress:
        self._begin_average(net, moments)
        entry = started(net, task)
        return Progress([entry], offer(entry, net), ends=self._longer(task, 0))

    def set_rate(self, epoch: int) -> None:
        """Keep the rates."""

    def close(
        self, net: ConsistencyNet, task: FitTask, progress: Progress, train_mse: float
    ) -> None:
        """End a round: use the average, solve W(0), measure, and begin the next round."""
        self.optimiser.keep_average()
        settle_variance(net, task, task.fitted)
        moments = solve(net, task) if self.closed else moments_of(net, task)
        entry = entry_of(net, task, progress.epoch, "round", train_mse)
        progress.measured(net, entry, self.choose)
        if progress.epoch == progress.ends:
            losses = [entry.validation_mse for entry in progress.entries]
            rule = at_rest if self.warm and self.choose == "last" else settled
            progress.settled = rule(losses, self.improvement)
        progress.ends = self._longer(task, progress.epoch)
        self._begin_average(net, moments)

    def _longer(self, task: FitTask, epoch: int) -> int:
        """Return the last epoch of a round that begins now: half as long as all before."""
        steps = max(1, round(len(task.fitted) / self.batch_size))
        return epoch + max(1, -(-STEPS // steps), -(-epoch // 2))

    def _begin_average(self, net: ConsistencyNet, moments: InputMoments) -> None:
        """Begin a new average in the basis of W(0)'s inputs; those of the other W are similar.

        Of a factorised W only the first factor has a basis: the inputs of the others have few
        channels.
        """
        if net.rank is None:
            bases = dict.fromkeys(net.weights, basis_of(moments))
        else:
            basis = basis_of(moments.of_channels_alone)
            bases = {net.factors(k)[0]: basis for k in range(net.order + 1)}
        self.optimiser.begin(bases)


def _set_gains(net: ConsistencyNet, gain: float) -> None:
    with torch.no_grad():
        net.logits.fill_(net.logit_of(gain))
