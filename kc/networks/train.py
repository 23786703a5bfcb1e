"""Training of a classifier; an interrupted run gives the same bits when it is resumed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kc.errors import NetworkError
from kc.images import normalise
from kc.networks.checkpoint import STATE, load_state, save_state
from kc.networks.distil import born_again_loss
from kc.networks.epoch import (
    MOMENTUM,
    Epoch,
    Outcome,
    Steering,
    run_epoch,
    set_rate,
    shuffled_batches,
)
from kc.progress import progress_bar
from kc.runtime import derive_seed
from kc.settings.recipes import Distillation, Recipe


class LabelledPictures(NamedTuple):
    """Pictures in memory, as stored, with their labels."""

    images: Tensor
    labels: Tensor
    """(n, heads): one label per head of the network."""


class Hyper(NamedTuple):
    """Parameters of one training run."""

    recipe: Recipe
    heads: tuple[int, ...]
    """Number of classes of each head; their logits are concatenated."""
    epochs: int
    learning_rate: float
    seed: int
    device: torch.device


class Teacher(NamedTuple):
    """A trained network that teaches another one."""

    network: nn.Module
    """In eval mode, on the training device."""
    distillation: Distillation


def accuracy(model: nn.Module, pictures: LabelledPictures, device: torch.device) -> float:
    """Return the percentage of pictures, with labels (n,), that are classified correctly."""
    one = LabelledPictures(pictures.images, pictures.labels[:, None])
    return accuracy_by_head(model, one, (), device)[0]


def accuracy_by_head(
    model: nn.Module, pictures: LabelledPictures, heads: Sequence[int], device: torch.device
) -> list[float]:
    """Return the percentage of pictures that each head classifies correctly."""
    model.eval()
    right = torch.zeros(max(1, len(heads)))
    with torch.inference_mode():
        for start in range(0, len(pictures.labels), 256):
            logits = model(normalise(pictures.images[start : start + 256]).to(device))
            chosen = first_choices(logits, heads).cpu()
            right += (chosen == pictures.labels[start : start + 256]).sum(0)
    return (100 * right / len(pictures.labels)).tolist()


def first_choices(logits: Tensor, heads: Sequence[int]) -> Tensor:
    """Return the class that each head predicts, (n, heads); without sizes there is one head."""
    sizes = list(heads) or [logits.shape[1]]
    return torch.stack([part.argmax(1) for part in torch.split(logits, sizes, dim=1)], dim=1)


def learning_rate_at(hyper: Hyper, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of a step: one cycle (cosine, 30 % rising) or steps."""
    recipe = hyper.recipe
    if recipe.schedule == "step":
        drops = step // steps_per_epoch // recipe.step_epochs
        return float(hyper.learning_rate * recipe.step_factor**drops)
    total = hyper.epochs * steps_per_epoch
    up = max(1, round(0.3 * total))
    if step < up:
        low, high, share = hyper.learning_rate / 25, hyper.learning_rate, step / up
    else:
        low, high = hyper.learning_rate / 1e4, hyper.learning_rate
        share = 1 - (step - up) / max(1, total - up)
    return float(low + (high - low) * (1 - np.cos(np.pi * share)) / 2)


def train_network(
    model: nn.Module,
    pictures: LabelledPictures,
    hyper: Hyper,
    folder: Path,
    name: str,
    teacher: Teacher | None = None,
) -> pd.DataFrame:
    """Train a network in place; ``folder`` holds the state from which a restart resumes.

    Returns
    -------
    DataFrame
        One row per epoch: epoch, loss, train_accuracy (percent, first head), learning_rate.

    Raises
    ------
    NetworkError
        Training diverged.
    """
    optimiser = torch.optim.SGD(
        model.parameters(),
        lr=hyper.learning_rate,
        momentum=MOMENTUM,
        weight_decay=hyper.recipe.weight_decay,
    )
    state = folder / STATE
    history = load_state(state, model, optimiser)
    epochs = range(len(history), hyper.epochs)
    for epoch in progress_bar(epochs, desc=name, unit="epoch"):
        history.append(_epoch(model, pictures, hyper, optimiser, epoch, teacher))
        if not np.isfinite(history[-1]["loss"]):
            raise NetworkError(
                f"{name}: training diverged in epoch {epoch + 1} (loss {history[-1]['loss']}). "
                f"Fix: lower training.learning_rate (it was {hyper.learning_rate})."
            )
        if (epoch + 1) % hyper.recipe.checkpoint_epochs == 0 and epoch + 1 < hyper.epochs:
            save_state(state, model, optimiser, history)
    return pd.DataFrame(history, columns=["epoch", *Epoch._fields])


def _epoch(
    model: nn.Module,
    train: LabelledPictures,
    hyper: Hyper,
    optimiser: torch.optim.SGD,
    epoch: int,
    teacher: Teacher | None,
) -> dict[str, Any]:
    """Train one epoch; random choices depend only on (seed, epoch), so a restart changes none."""
    model.train()
    seed = derive_seed("epoch", hyper.seed, epoch)
    generator = torch.Generator().manual_seed(seed)
    batches = shuffled_batches(len(train.labels), hyper.recipe.batch_size, generator)

    def rate(step: int) -> float:
        steps = epoch * len(batches) + step
        return set_rate(optimiser, learning_rate_at(hyper, steps, len(batches)))

    def look(batch: Tensor) -> Outcome:
        pictures = augment(train.images[batch], hyper.recipe.augment, generator)
        labels = train.labels[batch].to(hyper.device)
        batched = normalise(pictures).to(hyper.device, memory_format=torch.channels_last)
        logits = model(batched)
        right = int((first_choices(logits, hyper.heads) == labels)[:, 0].sum())
        return Outcome(_loss(logits, labels, batched, hyper, teacher), right)

    found = run_epoch(batches, look, optimiser, Steering(rate), seed, hyper.device)
    return {"epoch": epoch + 1} | found._asdict()


def _loss(
    logits: Tensor, labels: Tensor, batched: Tensor, hyper: Hyper, teacher: Teacher | None
) -> Tensor:
    """Sum the losses of the heads; a teacher only teaches the first."""
    parts = torch.split(logits, list(hyper.heads), dim=1)
    if teacher is None:
        losses = [F.cross_entropy(part, labels[:, head]) for head, part in enumerate(parts)]
        return torch.stack(losses).sum()
    with torch.no_grad():
        wanted = teacher.network(batched)
    about = teacher.distillation
    return born_again_loss(logits, wanted, labels[:, 0], about.weight, about.tau)


def augment(pictures: Tensor, wanted: bool, generator: torch.Generator) -> Tensor:
    """Mirror half of the pictures and shift the batch by up to an eighth, repeating edges."""
    if not wanted:
        return pictures
    flip = torch.rand(len(pictures), generator=generator) < 0.5
    pictures = torch.where(flip[:, None, None, None], pictures.flip(-1), pictures)
    reach = pictures.shape[-1] // 8
    top, left = (int(torch.randint(0, 2 * reach + 1, (), generator=generator)) for _ in range(2))
    padded = F.pad(pictures.float(), [reach] * 4, mode="replicate").to(torch.uint8)
    side = pictures.shape[-1]
    return padded[..., top : top + side, left : left + side]
