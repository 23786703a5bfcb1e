"""Train networks into folders ``networks/<network>/`` with weights, history and card."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from kc.errors import NetworkError
from kc.images.rows import rows_in
from kc.networks.build import build
from kc.networks.checkpoint import FILES, HISTORY, WEIGHTS, load_network, save_weights
from kc.networks.handicap import handicapped, more_epochs, seen_in_test, seen_in_training
from kc.networks.pretrained import load_pretrained, weights_file
from kc.networks.prune import apply_masks, bake, removed_share, solve_multiples
from kc.networks.train import (
    Hyper,
    LabelledPictures,
    Teacher,
    accuracy_by_head,
    train_network,
)
from kc.plans.commands import fix_at, remake
from kc.plans.products import NetworkPlan
from kc.provenance import plain, product_key, versions
from kc.runtime import derive_seed, pick_device
from kc.settings.recipes import Distillation, Network, Recipe, Retraining
from kc.store import Store, open_store
from kc.store.files import file_digest, write_bytes_atomic
from kc.store.product import Product, read_card

LOG = logging.getLogger(__name__)


class Training(NamedTuple):
    """The settings of networks; the last two apply only to their kind."""

    shape: Network
    recipe: Recipe
    retraining: Retraining
    """For pruned networks."""
    distillation: Distillation
    """For born-again networks."""

    def of(self, plan: NetworkPlan) -> dict[str, Any]:
        """Return the settings that a network's key depends on."""
        about: dict[str, Any] = {"shape": self.shape, "recipe": self.recipe}
        if plan.kind == "pruned":
            about["retraining"] = self.retraining
        if plan.kind == "born_again":
            about["distillation"] = self.distillation
        return about


def make_networks(
    plans: Sequence[NetworkPlan],
    images: Path,
    training: Training,
    results: Path,
    device: str = "auto",
) -> None:
    """Train networks of one architecture and data set into ``RESULTS/networks``.

    ``images`` is the manifest of the image store; errors as :func:`train_networks`.
    """
    folder = results / "networks"
    train_networks(plans, open_store(images), training, folder, pick_device(device))


def train_networks(
    plans: Sequence[NetworkPlan],
    images: Store,
    training: Training,
    out: Path,
    device: torch.device,
) -> None:
    """Train each network that does not exist yet under its key; card.json is written last.

    A network made from another one (pruned, born again) comes after it in ``plans``, or finds it
    in ``out``.

    Raises
    ------
    NetworkError
        Training diverged, the network it is made from is missing or damaged, or the data set
        has no superclasses to classify.
    """
    for plan in sorted(plans):
        inputs = {"images": images.digest}
        if plan.origin is not None:
            inputs["origin"] = _origin_digest(plan.origin, out)
        own = training._replace(shape=training.shape.started(plan.weights))
        if own.shape.weights is not None:
            file = weights_file(plan.architecture, own.shape.weights)
            inputs["weights"] = file_digest(file)
        about = {"plan": asdict(plan)} | own.of(plan)
        key = product_key(about, inputs, "kc.steps.networks")
        with Product(out / plan.name, key, FILES) as product:
            if product.is_done():
                LOG.info("%s: exists already", plan.name)
            else:
                product.start()
                _make(plan, images, own, product, device)


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


def labels_of(rows: pd.DataFrame, plan: NetworkPlan) -> tuple[np.ndarray, list[list[str]]]:
    """Return each image's label in a network's task, (n, heads), and the names of labels by head.

    Raises
    ------
    NetworkError
        The task is to classify superclasses and the images have fewer than two.
    """
    columns, names = [], []
    if plan.task in ("class", "both"):
        columns.append(rows["label"].to_numpy(np.int64))
        names.append([str(name) for name in rows.groupby("label")["class_name"].first()])
    if plan.task in ("superclass", "both"):
        found = sorted(set(rows["superclass"]))
        if len(found) < 2:
            raise NetworkError(
                f"{plan.name}: its task is to classify superclasses; data set '{plan.dataset}' has "
                f"{found}, expected two or more. Fix: use a mixture, or Pascal VOC"
            )
        columns.append(rows["superclass"].map(found.index).to_numpy(np.int64))
        names.append(found)
    return np.stack(columns, axis=1), names


def hyper_of(
    plan: NetworkPlan, training: Training, heads: tuple[int, ...], device: torch.device
) -> Hyper:
    """Choose a network's epochs, rate and seed from the recipe and its exceptions."""
    shape, recipe, seed = training.shape, training.recipe, derive_seed(plan.name)
    if plan.kind == "pruned":
        about = training.retraining
        return Hyper(recipe, heads, about.epochs, about.learning_rate, seed, device)
    epochs = recipe.dataset_epochs.get(plan.dataset) or shape.epochs or recipe.epochs
    if plan.half and recipe.halves_keep_steps:
        epochs *= 2
    if recipe.halves_keep_steps:
        epochs = round(epochs * more_epochs(plan))
    epochs = epochs if plan.trained else 0
    rate = shape.learning_rate or recipe.learning_rate
    return Hyper(recipe, heads, epochs, rate, seed, device)


def _make(
    plan: NetworkPlan, images: Store, training: Training, product: Product, device: torch.device
) -> None:
    started = time.perf_counter()
    folder = product.folder
    labels, names = labels_of(images.rows, plan)
    rows = half_rows(images.rows, plan.half) if plan.half else rows_in(images.rows, "train")
    rows = seen_in_training(images.rows, rows, plan)
    pictures = _load(images, rows, labels)
    hyper = hyper_of(plan, training, tuple(map(len, names)), device)
    model, teacher, about = _prepared(plan, training, hyper, folder.parent)
    history = train_network(model, pictures, hyper, folder, plan.name, teacher)
    if plan.kind == "pruned":
        bake(model)
        about["removed_share"] = removed_share(model)
    save_weights(model, folder / WEIGHTS)
    write_bytes_atomic(folder / HISTORY, history.to_csv(index=False).encode())
    test = _load(images, seen_in_test(images.rows, plan), labels)
    tested, trained = (
        accuracy_by_head(model, part, hyper.heads, device) for part in (test, pictures)
    )
    card = plain(asdict(plan)) | {
        "name": plan.name,
        "classes": sum(hyper.heads),
        "heads": names,
        "shape": plain(training.shape),
        "recipe": plain(training.recipe),
        "epochs": hyper.epochs,
        "learning_rate": hyper.learning_rate,
        "image_store": images.digest,
        "images": len(rows),
        "accuracy": {"test": tested[0], "train": trained[0]},
        "accuracy_by_head": {"test": tested, "train": trained},
        "versions": versions(),
        "device": str(device),
        "seconds": round(time.perf_counter() - started, 2),
    }
    product.finish(card | about, [WEIGHTS, HISTORY])
    LOG.info("%s: test accuracy %.1f %%", plan.name, card["accuracy"]["test"])


def _prepared(
    plan: NetworkPlan, training: Training, hyper: Hyper, out: Path
) -> tuple[nn.Module, Teacher | None, dict[str, Any]]:
    """Return the network to train, its teacher, and what the card says about both."""
    about: dict[str, Any] = {}
    teacher = None
    origin = None if plan.origin is None else load_network(out / plan.origin.name)
    if plan.kind == "pruned" and origin is not None:
        model = origin
        found = solve_multiples(model, plan.removed)
        apply_masks(model, found.s_conv, found.s_fc)
        about = found._asdict()
    else:
        start = derive_seed(plan.first_weights)
        model = build(plan.architecture, sum(hyper.heads), training.shape, start)
        model = handicapped(model, plan.handicap)
        if training.shape.weights is not None and plan.trained:
            file = weights_file(plan.architecture, training.shape.weights)
            about["fresh"] = load_pretrained(model, plan.architecture, file)
            about["pretrained"] = {"file": str(file), "digest": file_digest(file)}
    if plan.kind == "born_again" and origin is not None:
        teacher = Teacher(origin.to(hyper.device), training.distillation)
        about["distillation"] = plain(training.distillation)
    if plan.origin is not None:
        about["origin"] = plan.origin.name
        about["origin_digest"] = _origin_digest(plan.origin, out)
    # a third faster for narrow networks on a CPU, and preferred by tensor cores
    model = model.to(memory_format=torch.channels_last).to(hyper.device)
    return model, teacher, about


def _load(images: Store, rows: np.ndarray, labels: np.ndarray) -> LabelledPictures:
    chosen = torch.from_numpy(labels[rows].astype(np.int64))
    return LabelledPictures(torch.from_numpy(images["image"][rows]), chosen)


def _origin_digest(origin: NetworkPlan, out: Path) -> str:
    card = out / origin.name / "card.json"
    if not card.is_file():
        raise NetworkError(
            f"{card}: the network to start from, or the teacher, is missing. "
            f"Fix: {fix_at(card, remake(card))}"
        )
    return str(read_card(card.parent, files=())["digest"])
