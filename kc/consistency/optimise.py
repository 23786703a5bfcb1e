"""Train g epoch by epoch by a recipe, and keep its best weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from kc.consistency.finish import Settled
from kc.consistency.linear import LinearMap
from kc.consistency.net import ConsistencyNet
from kc.consistency.task import FitTask, mean_squared_error
from kc.progress import progress_bar

Choose = Literal["validation", "last"]
Stage = Literal["start", "round", "epoch"]


class Entry(NamedTuple):
    """One line of the history: objective = mse + lambda sum p^2, in g's units."""

    epoch: int
    stage: Stage
    train_mse: float
    validation_mse: float
    gains: tuple[float, ...]
    penalty: float

    @classmethod
    def of(cls, line: Sequence[Any]) -> "Entry":
        """Read an entry from JSON."""
        epoch, stage, train_mse, validation_mse, gains, penalty = line
        return cls(epoch, stage, train_mse, validation_mse, tuple(gains), penalty)

    def line(self) -> dict[str, int | float | str]:
        """Format the entry as a row of ``history.csv``."""
        row: dict[str, int | float | str] = {
            "epoch": self.epoch,
            "stage": self.stage,
            "train_objective": self.train_mse + self.penalty,
            "validation_objective": self.validation_mse + self.penalty,
            "train_mse": self.train_mse,
            "validation_mse": self.validation_mse,
        }
        return row | {f"p{k}": gain for k, gain in enumerate(self.gains, start=1)}


class Candidate(NamedTuple):
    """Weights that may be kept, with their measurement on the validation cut."""

    entry: Entry
    state: dict[str, Tensor]


@dataclass
class Progress:
    """The epochs so far, the measurements, and the weights to keep."""

    entries: list[Entry]
    """The first is the start."""
    best: Candidate
    ends: int
    """Epoch at the end of which g is measured next."""
    epoch: int = 0
    settled: Settled = "no"
    linear: LinearMap | None = None
    """For a factorised g, the full linear map at the start; lost if a fit is resumed."""

    def measured(self, net: ConsistencyNet, entry: Entry, choose: Choose) -> None:
        """Add a measurement; keep the weights if they validate best, or if they are the last.

        The MSE decides, not the objective: lambda helps to find g and must not judge it.
        """
        self.entries.append(entry)
        if choose == "last" or entry.validation_mse < self.best.entry.validation_mse:
            self.best = offer(entry, net)


@runtime_checkable
class FitRecipe(Protocol):
    """How a preset starts, trains and measures g."""

    epochs: int
    """Number of epochs, or the maximum."""
    batch_size: int

    @property
    def optimiser(self) -> torch.optim.Optimizer:
        """The optimiser that takes the steps."""

    def begin(self, net: ConsistencyNet, task: FitTask) -> Progress:
        """Prepare g for training."""

    def set_rate(self, epoch: int) -> None:
        """Set the learning rate of an epoch, counted from 0."""

    def close(
        self, net: ConsistencyNet, task: FitTask, progress: Progress, train_mse: float
    ) -> None:
        """Measure g, and set when to do so next; ``train_mse``: of the last epoch."""


def optimise(
    net: ConsistencyNet,
    task: FitTask,
    recipe: FitRecipe,
    progress: Progress,
    after_epoch: Callable[[], None],
) -> None:
    """Train g from ``progress`` until it is finished, or the epochs are over.

    ``after_epoch`` is called after each epoch, when ``progress`` is up to date.
    """
    with progress_bar(desc="fit g", unit="epoch") as bar:
        while progress.epoch < recipe.epochs and progress.settled == "no":
            # the number of rounds is unknown, so the time left is that of this round
            bar.total = min(progress.ends, recipe.epochs)
            recipe.set_rate(progress.epoch)
            train_mse = train_epoch(net, task, recipe, progress.epoch)
            progress.epoch += 1
            if progress.epoch in (progress.ends, recipe.epochs):
                recipe.close(net, task, progress, train_mse)
            after_epoch()
            bar.update(progress.epoch - bar.n)


def offer(entry: Entry, net: ConsistencyNet) -> Candidate:
    """Return a copy of the current weights as a candidate."""
    return Candidate(entry, {name: value.clone() for name, value in net.state_dict().items()})


def entry_of(
    net: ConsistencyNet, task: FitTask, epoch: int, stage: Stage, train_mse: float
) -> Entry:
    """Measure the validation cut with the current weights and Sigma."""
    gains = net.gains.detach()
    penalty = task.penalty * float(gains.square().sum())
    held = mean_squared_error(net, task, task.held)
    return Entry(epoch, stage, train_mse, held, tuple(gains.tolist()), penalty)


def started(net: ConsistencyNet, task: FitTask) -> Entry:
    """Measure the start of a fit."""
    return entry_of(net, task, 0, "start", mean_squared_error(net, task, task.fitted))


def train_epoch(net: ConsistencyNet, task: FitTask, recipe: FitRecipe, epoch: int) -> float:
    """Run one epoch; return the mean MSE of its batches."""
    net.train()
    total, images = 0.0, 0
    for x, y in task.epoch(epoch, recipe.batch_size):
        total += _step(net, task, recipe.optimiser, x, y) * len(x)
        images += len(x)
    return total / images


def _step(
    net: ConsistencyNet, task: FitTask, optimiser: torch.optim.Optimizer, x: Tensor, y: Tensor
) -> float:
    optimiser.zero_grad()
    halved = task.settings.precision == "bfloat16"
    with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=halved):
        reconstructed = net(x)
    mse = F.mse_loss(reconstructed.float(), y)
    loss = mse + task.penalty * net.gains.square().sum()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return float(mse.detach())
