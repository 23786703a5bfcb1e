"""Train classifiers on an image store; a run that was killed ends with the same bits."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from kc.config import Network, Recipe
from kc.errors import NetworkError
from kc.images import normalise
from kc.networks.build import build
from kc.networks.checkpoint import load_state, save_state
from kc.plan import NetworkPlan
from kc.provenance import plain, product_key, versions
from kc.runtime import derive_seed
from kc.store import Store
from kc.store.files import write_bytes_atomic
from kc.store.product import Product

LOG = logging.getLogger(__name__)


class Pictures(NamedTuple):
    """Pictures in memory, as stored, with their labels."""

    images: Tensor
    labels: Tensor


class Hyper(NamedTuple):
    """What one training run is steered by."""

    recipe: Recipe
    epochs: int
    learning_rate: float
    seed: int
    device: torch.device


def train_networks(
    plans: Sequence[NetworkPlan],
    images: Store,
    shape: Network,
    recipe: Recipe,
    out: Path,
    device: torch.device,
) -> None:
    """Train each network that is not there yet under its key; card.json is written last."""
    classes = int(images.rows["label"].max()) + 1
    for plan in plans:
        key = product_key(
            {"plan": asdict(plan), "shape": shape, "recipe": recipe},
            {"images": images.digest},
            "kc.networks.train",
        )
        folder = out / plan.name
        _train_one(plan, images, shape, recipe, folder, key, classes, device)


def half_rows(rows: pd.DataFrame, half: str) -> np.ndarray:
    """Pick one random half, per class, of the training rows.

    ``half`` is ``<split><part>``, e.g. ``0a``: parts a and b of a split share no image and
    together hold them all [L20, Sec. 4.2].
    """
    split, part = half[:-1], half[-1]
    generator = np.random.default_rng(derive_seed("half", split))
    train = rows[rows["subset"] == "train"]
    chosen: list[int] = []
    for turn, (_, group) in enumerate(train.groupby("label", sort=True)):
        order = generator.permutation(group.index.to_numpy())
        middle = (len(order) + turn % 2) // 2
        chosen.extend(order[:middle] if part == "a" else order[middle:])
    return np.sort(np.asarray(chosen, dtype=np.int64))


def training_rows(rows: pd.DataFrame, half: str) -> np.ndarray:
    """Give the rows a network is trained on."""
    if half:
        return half_rows(rows, half)
    return np.flatnonzero((rows["subset"] == "train").to_numpy())


def accuracy(model: nn.Module, pictures: Pictures, device: torch.device) -> float:
    """Share of pictures whose class is the network's first choice, in percent."""
    model.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(pictures.labels), 256):
            batch = normalise(pictures.images[start : start + 256]).to(device)
            right += int(
                (model(batch).argmax(1).cpu() == pictures.labels[start : start + 256]).sum()
            )
    return 100 * right / len(pictures.labels)


def hyper_of(plan: NetworkPlan, shape: Network, recipe: Recipe, device: torch.device) -> Hyper:
    """Settle a network's epochs, rate and seed from the recipe and its own exceptions to it."""
    epochs = shape.epochs or recipe.epochs
    if plan.half and recipe.halves_keep_steps:
        epochs *= 2
    rate = shape.learning_rate or recipe.learning_rate
    return Hyper(recipe, epochs, rate, derive_seed(plan.name), device)


def learning_rate_at(hyper: Hyper, step: int, steps_per_epoch: int) -> float:
    """Give the rate of a step: one cycle (cosine up over 30 %, down after) or steps."""
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


def _train_one(
    plan: NetworkPlan,
    images: Store,
    shape: Network,
    recipe: Recipe,
    folder: Path,
    key: str,
    classes: int,
    device: torch.device,
) -> None:
    product = Product(folder, key)
    if product.is_done():
        LOG.info("%s: there already", plan.name)
        return
    product.start()
    started = time.perf_counter()
    rows = training_rows(images.rows, plan.half)
    train = _load(images, rows)
    hyper = hyper_of(plan, shape, recipe, device)
    model = build(plan.architecture, classes, shape, hyper.seed)
    # a third faster for narrow networks on a CPU, and what tensor cores want
    model = model.to(memory_format=torch.channels_last).to(device)
    history = _fit(model, train, hyper, folder, plan.name)
    test = _load(images, np.flatnonzero((images.rows["subset"] == "test").to_numpy()))
    weights = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    aside = folder / "weights.safetensors.part"
    save_file(weights, aside)
    aside.replace(folder / "weights.safetensors")
    write_bytes_atomic(folder / "history.csv", history.to_csv(index=False).encode())
    card = plain(asdict(plan)) | {
        "name": plan.name,
        "classes": classes,
        "shape": plain(shape),
        "recipe": plain(recipe),
        "epochs": hyper.epochs,
        "learning_rate": hyper.learning_rate,
        "image_store": images.digest,
        "images": len(rows),
        "accuracy": {
            "test": accuracy(model, test, device),
            "train": accuracy(model, train, device),
        },
        "versions": versions(),
        "device": str(device),
        "seconds": round(time.perf_counter() - started, 2),
    }
    product.finish(card, ["weights.safetensors", "history.csv"])
    LOG.info("%s: test accuracy %.1f %%", plan.name, card["accuracy"]["test"])
    (folder / "state.safetensors").unlink(missing_ok=True)


def _load(images: Store, rows: np.ndarray) -> Pictures:
    labels = torch.from_numpy(images.rows["label"].to_numpy()[rows].astype(np.int64))
    return Pictures(torch.from_numpy(images["image"][rows]), labels)


def _fit(model: nn.Module, train: Pictures, hyper: Hyper, folder: Path, name: str) -> pd.DataFrame:
    optimiser = torch.optim.SGD(
        model.parameters(),
        lr=hyper.learning_rate,
        momentum=hyper.recipe.momentum,
        weight_decay=hyper.recipe.weight_decay,
    )
    state = folder / "state.safetensors"
    history: list[dict[str, Any]] = load_state(state, model, optimiser) if state.is_file() else []
    epochs = range(len(history), hyper.epochs)
    for epoch in tqdm(epochs, desc=name, unit="epoch", disable=None, leave=False):
        history.append(_epoch(model, train, hyper, optimiser, epoch))
        if not np.isfinite(history[-1]["loss"]):
            raise NetworkError(
                f"{name}: training diverged in epoch {epoch + 1} (loss {history[-1]['loss']}). "
                f"Cure: lower training.learning_rate (it was {hyper.learning_rate})."
            )
        if (epoch + 1) % hyper.recipe.checkpoint_epochs == 0 and epoch + 1 < hyper.epochs:
            save_state(state, model, optimiser, history)
    return pd.DataFrame(history)


def _epoch(
    model: nn.Module, train: Pictures, hyper: Hyper, optimiser: torch.optim.SGD, epoch: int
) -> dict[str, Any]:
    """One pass; every random choice comes from (seed, epoch), so a restart changes nothing."""
    model.train()
    seed = derive_seed("epoch", hyper.seed, epoch)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(train.labels), generator=generator)
    # a last batch of one picture would break batch norm on 1x1 maps
    batches = [b for b in torch.split(order, hyper.recipe.batch_size) if len(b) > 1]
    loss_sum, right, seen, rate = 0.0, 0, 0, 0.0
    with torch.random.fork_rng(devices=[hyper.device] if hyper.device.type == "cuda" else []):
        torch.manual_seed(seed)
        for step, batch in enumerate(batches):
            rate = learning_rate_at(hyper, epoch * len(batches) + step, len(batches))
            for group in optimiser.param_groups:
                group["lr"] = rate
            pictures = _augment(train.images[batch], hyper.recipe.augment, generator)
            labels = train.labels[batch].to(hyper.device)
            batched = normalise(pictures).to(hyper.device, memory_format=torch.channels_last)
            logits = model(batched)
            loss = F.cross_entropy(logits, labels, label_smoothing=hyper.recipe.label_smoothing)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            loss_sum += loss.item() * len(batch)
            right += int((logits.argmax(1) == labels).sum())
            seen += len(batch)
    return {
        "epoch": epoch + 1,
        "loss": loss_sum / seen,
        "train_accuracy": 100 * right / seen,
        "learning_rate": rate,
    }


def _augment(pictures: Tensor, wanted: bool, generator: torch.Generator) -> Tensor:
    """Mirror half of the pictures and shift the batch by up to an eighth, edges repeated."""
    if not wanted:
        return pictures
    flip = torch.rand(len(pictures), generator=generator) < 0.5
    pictures = torch.where(flip[:, None, None, None], pictures.flip(-1), pictures)
    reach = pictures.shape[-1] // 8
    top, left = (int(torch.randint(0, 2 * reach + 1, (), generator=generator)) for _ in range(2))
    padded = F.pad(pictures.float(), [reach] * 4, mode="replicate").to(torch.uint8)
    side = pictures.shape[-1]
    return padded[..., top : top + side, left : left + side]
