"""One pass over what is learned from: the loop by which all networks and tails are trained."""

from collections.abc import Callable, Sequence, Sized
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

MOMENTUM = 0.9
"""Of every SGD."""


class Outcome(NamedTuple):
    """What a network makes of one batch, before its weights are moved."""

    loss: Float[Tensor, ""]
    """Mean over the batch."""
    right: int = 0
    """Images whose label is the first choice."""


class Steering(NamedTuple):
    """What is done about each step of an epoch."""

    before: Callable[[int], float]
    """Sees to the learning rate of a step, by its number from 0, and gives it."""
    after: Callable[[], None] = lambda: None
    """Called when the weights have been moved."""


class Epoch(NamedTuple):
    """What came of one pass; means are over the images seen."""

    loss: float
    train_accuracy: float
    """Percent, while the weights were moving."""
    learning_rate: float
    """Of the last step."""


def run_epoch[Batch: Sized](
    batches: Sequence[Batch],
    look: Callable[[Batch], Outcome],
    optimiser: torch.optim.Optimizer,
    steering: Steering,
    seed: int,
    device: torch.device,
) -> Epoch:
    """Learn from each batch in turn; what is drawn on the way (dropout) comes from the seed.

    Torch's own generators are left as they were. ``Batch`` says which images: rows, by their
    number.
    """
    loss_sum, right, images, rate = 0.0, 0, 0, 0.0
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for step, batch in enumerate(batches):
            rate = steering.before(step)
            seen = look(batch)
            optimiser.zero_grad()
            seen.loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            steering.after()
            loss_sum += seen.loss.item() * len(batch)
            right += seen.right
            images += len(batch)
    return Epoch(loss_sum / images, 100 * right / images, rate)


def shuffled_batches(count: int, size: int, generator: torch.Generator) -> list[Tensor]:
    """Draw an order of rows and cut it into batches; a last one of one row is left out.

    It would break batch norm on 1x1 maps.
    """
    order = torch.randperm(count, generator=generator)
    return [batch for batch in torch.split(order, size) if len(batch) > 1]


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> float:
    """Set one learning rate for all parameters."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    return rate
