"""How the weights of g are found: two recipes, one loop, a stop on the validation cut."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from kc.consistency.data import FeaturePair
from kc.consistency.decompose import Normalisation
from kc.consistency.net import ConsistencyNet
from kc.consistency.order import Rows, shuffled
from kc.consistency.variance import Moments
from kc.settings.reconstruction import Consistency, Optimiser

RELEASED_EPOCHS = 1000
Choose = Literal["validation", "last"]
Stage = Literal["start", "epoch", "refit"]


@dataclass(frozen=True)
class FitTask:
    """What the loop works on: features, their units, which rows do what, and the settings."""

    pair: FeaturePair
    units: Normalisation
    fitted: Rows
    held: Rows
    settings: Consistency
    """Its penalty is a number."""
    seed: int

    @property
    def penalty(self) -> float:
        """Lambda, on the sum of p^2."""
        return float(self.settings.penalty)

    def epoch(self, number: int, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Give the batches of one epoch, in g's units."""
        blocks = (self.pair.block_rows, self.settings.buffer_shards)
        order = shuffled(self.fitted, batch, self.seed, number, *blocks)
        for x, y in self.pair.batches(order):
            yield self.units.source(x), self.units.target(y)

    def in_order(self, rows: Rows) -> Iterator[tuple[Tensor, Tensor]]:
        """Give rows from first to last, in g's units."""
        for x, y in self.pair.in_order(rows):
            yield self.units.source(x), self.units.target(y)


@dataclass(frozen=True)
class FitRecipe:
    """Learning rates, decay and number of epochs of one preset."""

    epochs: int
    batch_size: int
    choose: Choose
    optimiser: torch.optim.Optimizer
    rates: tuple[float, ...]
    """First learning rate of each parameter group."""
    released: bool

    def factor(self, epoch: int, progress: float) -> float:
        """Scale the rates: log-spaced by epoch over two decades, or a cosine by step."""
        if self.released:
            return float(10 ** (-2 * epoch / max(1, self.epochs - 1)))
        return 0.5 * (1 + math.cos(math.pi * (epoch + progress) / self.epochs))


def paper_recipe(
    net: ConsistencyNet, settings: Optimiser, epochs: int, choose: Choose
) -> FitRecipe:
    """AdamW with decoupled decay on W alone and a rate of its own for q.

    q needs the larger rate: with W's it is still moving after a thousand epochs.
    """
    rates = (settings.learning_rate, settings.gain_learning_rate)
    groups = [
        {"params": list(net.weights), "lr": rates[0], "weight_decay": settings.weight_decay},
        {"params": [net.logits], "lr": rates[1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups)
    return FitRecipe(epochs, settings.batch_size, choose, optimiser, rates, released=False)


def released_recipe(net: ConsistencyNet, epochs: int, choose: Choose) -> FitRecipe:
    """Adam 1e-4 to 1e-6 log-spaced per epoch, coupled decay 1e-4 on q too, batch 64."""
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-4, weight_decay=1e-4)
    return FitRecipe(epochs, 64, choose, optimiser, (1e-4,), released=True)


class Entry(NamedTuple):
    """One line of the history: objective = mse + lambda sum p^2, in g's units."""

    epoch: int
    stage: Stage
    train_mse: float
    validation_mse: float
    gains: tuple[float, ...]
    penalty: float

    @property
    def objective(self) -> float:
        """What stopping looks at: the objective on the validation cut."""
        return self.validation_mse + self.penalty

    def line(self) -> dict[str, int | float | str]:
        """Spell the entry as a row of ``history.csv``."""
        row: dict[str, int | float | str] = {
            "epoch": self.epoch,
            "stage": self.stage,
            "train_objective": self.train_mse + self.penalty,
            "validation_objective": self.objective,
            "train_mse": self.train_mse,
            "validation_mse": self.validation_mse,
        }
        return row | {f"p{k}": gain for k, gain in enumerate(self.gains, start=1)}


class Candidate(NamedTuple):
    """Weights that may be kept, with what they reached on the validation cut."""

    entry: Entry
    state: dict[str, Tensor]


def offer(entry: Entry, net: ConsistencyNet) -> Candidate:
    """Take a copy of the present weights."""
    return Candidate(entry, {name: value.clone() for name, value in net.state_dict().items()})


@dataclass
class Progress:
    """The epochs behind a fit, and the one to keep."""

    entries: list[Entry]
    best: Candidate | None = None


def optimise(
    net: ConsistencyNet,
    task: FitTask,
    recipe: FitRecipe,
    progress: Progress,
    after_epoch: Callable[[], None],
) -> Candidate:
    """Train g on from ``progress``; give the epoch of the best validation objective (or the last).

    ``after_epoch`` is called whenever ``progress`` tells of one epoch more.
    """
    done = len(progress.entries)
    with tqdm(
        total=recipe.epochs, initial=done, desc="fit g", unit="epoch",
        delay=10, leave=False, disable=None,
    ) as bar:  # fmt: skip
        for epoch in range(done + 1, recipe.epochs + 1):
            train_mse = _train_epoch(net, task, recipe, epoch - 1)
            entry = entry_of(net, task, epoch, "epoch", train_mse)
            progress.entries.append(entry)
            best = progress.best
            if recipe.choose == "last" or best is None or entry.objective < best.entry.objective:
                progress.best = offer(entry, net)
            after_epoch()
            bar.update()
    assert progress.best is not None
    return progress.best


def entry_of(
    net: ConsistencyNet, task: FitTask, epoch: int, stage: Stage, train_mse: float
) -> Entry:
    """Measure the validation cut under the present weights and Sigma."""
    gains = net.gains.detach()
    penalty = task.penalty * float(gains.square().sum())
    held = mean_squared_error(net, task, task.held)
    return Entry(epoch, stage, train_mse, held, tuple(gains.tolist()), penalty)


def mean_squared_error(net: ConsistencyNet, task: FitTask, rows: Rows) -> float:
    """Give the mean over images and elements of (g(x) - x*)^2, in evaluation mode."""
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
    """Set Sigma to the exact variance over the rows, one pass an order, K down to 1.

    Sigma(k) depends on the gains of the orders above k alone, so ``orders`` may be fewer.
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


def _train_epoch(net: ConsistencyNet, task: FitTask, recipe: FitRecipe, epoch: int) -> float:
    """Run one epoch; Sigma becomes the epoch's pooled batch variance; give the mean MSE."""
    net.train()
    total, images, pooled = 0.0, 0, torch.zeros_like(net.variance)
    steps = max(1, round(len(task.fitted) / recipe.batch_size))
    for step, (x, y) in enumerate(task.epoch(epoch, recipe.batch_size)):
        for group, rate in zip(recipe.optimiser.param_groups, recipe.rates, strict=True):
            group["lr"] = rate * recipe.factor(epoch, step / steps)
        mse = _step(net, task, recipe.optimiser, x, y)
        total, images = total + mse * len(x), images + len(x)
        if net.batch_variances:
            orders = range(1, net.order + 1)
            pooled += torch.stack([net.batch_variances[k] for k in orders]) * len(x)
    net.variance.copy_(pooled / images if net.batch_variances else net.variance)
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
