"""One epoch of training: the loop that all networks and tails share."""

from collections.abc import Callable, Sequence, Sized
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

MOMENTUM = 0.9
"""Of every SGD."""


class Outcome(NamedTuple):
    """Loss and correct images of one batch, before the weights are updated."""

    loss: Float[Tensor, ""]
    """Mean over the batch."""
    right: int = 0
    """Number of images that are classified correctly."""


class Steering(NamedTuple):
    """Functions that are called around each step of an epoch."""

    before: Callable[[int], float]
    """Sets and returns the learning rate of a step, numbered from 0."""
    after: Callable[[], None] = lambda: None
    """Called after the weights are updated."""


class Epoch(NamedTuple):
    """Results of one epoch; means are over the images seen."""

    loss: float
    train_accuracy: float
    """Percent, during the updates of the weights."""
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
    """Train on each batch in turn; random choices (dropout) come from the seed.

    Torch's own generators are not changed. A ``Batch`` holds the row numbers of its images.
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
    """Draw an order of rows and split it into batches; a last batch of one row is left out.

    It would break batch norm on 1x1 maps.
    """
    order = torch.randperm(count, generator=generator)
    return [batch for batch in torch.split(order, size) if len(batch) > 1]


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> float:
    """Set one learning rate for all parameters and return it."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    return rate
