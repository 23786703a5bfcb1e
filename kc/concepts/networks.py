"""Files of teacher, students and baseline: ``concepts/networks/<name>/``."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from kc.concepts.architectures import build_with_head, fc_node
from kc.concepts.samples import concept_classes, load_pictures, measured_pictures
from kc.concepts.training import (
    ALL,
    RATE_FALL,
    UP_TO,
    Course,
    Watched,
    checkpoint_file,
    distillation_lesson,
    label_lesson,
    train_to_checkpoints,
)
from kc.errors import NetworkError
from kc.images import normalise
from kc.networks import split
from kc.networks.checkpoint import FILES, HISTORY, WEIGHTS, filled, save_weights
from kc.networks.pretrained import weights_file
from kc.networks.tails import HeldFeatures, train_tail
from kc.networks.train import LabelledPictures, accuracy
from kc.plans.commands import fix_at, remake
from kc.plans.concept_products import ConceptNetwork
from kc.provenance import plain, product_key, versions
from kc.runtime import derive_seed
from kc.settings.concepts import ROLES, Lessons
from kc.settings.recipes import Network
from kc.store import Store
from kc.store.files import file_digest, write_bytes_atomic
from kc.store.product import CARD, Product
from kc.store.product import read_card as read_product_card

LOG = logging.getLogger(__name__)


class Given(NamedTuple):
    """Inputs of the networks of one architecture."""

    images: Store
    shape: Network
    lessons: Lessons
    layers: tuple[str, ...]
    """Layers of teacher and baseline whose weight distance is recorded."""


def train_concept_networks(
    plans: Sequence[ConceptNetwork], given: Given, out: Path, device: torch.device
) -> None:
    """Train each network that is missing under its key; write card.json last.

    A student is trained after its teacher, which is in ``plans`` or already in ``out``.

    Raises
    ------
    NetworkError
        Training diverged, or a teacher is missing or damaged.
    ImageError
        The data set has no foreground, so concepts could not be counted.
    """
    measured_pictures(given.images, given.lessons.classes, 1)
    for plan in sorted(plans, key=lambda plan: ROLES.index(plan.role)):
        shape = given.shape.started(plan.start)
        inputs = {"images": given.images.digest}
        if plan.teacher is not None:
            inputs["teacher"] = read_concept_card(plan.teacher, out)["digest"]
        if shape.weights is not None:
            inputs["weights"] = file_digest(weights_file(plan.architecture, shape.weights))
        layers = (plan.layer,) if plan.layer else given.layers
        about = {"plan": asdict(plan), "shape": shape, "lessons": given.lessons}
        about |= {"layers": layers}
        key = product_key(about, inputs, "kc.concepts.networks")
        checkpoints = map(checkpoint_file, given.lessons.checkpoints)
        with Product(out / plan.name, key, (*FILES, *checkpoints)) as product:
            if product.is_done():
                LOG.info("%s: is there already", plan.name)
            else:
                product.start()
                _make(plan, given._replace(shape=shape, layers=layers), product, device)


def read_concept_card(plan: ConceptNetwork, folder: Path) -> dict[str, Any]:
    """Read a network's card and check its files.

    Raises
    ------
    NetworkError
        The network is missing.
    StoreError
        It is damaged.
    """
    path = folder / plan.name / CARD
    if not path.is_file():
        raise NetworkError(
            f"{path}: the network '{plan.name}' is missing. Fix: {fix_at(path, remake(path))}"
        )
    return read_product_card(path.parent)


def load_at(plan: ConceptNetwork, folder: Path, epoch: int | None) -> nn.Module:
    """Load a network after an epoch (None: the final one), in eval mode on the CPU."""
    card = read_concept_card(plan, folder)
    shape = Network.model_validate(card["shape"])
    classes = len(card["class_names"])
    name = WEIGHTS if epoch is None else checkpoint_file(epoch)
    return filled(
        lambda: build_with_head(plan.architecture, classes, shape, seed=0),
        folder / plan.name / name,
    )


def layer_head(model: nn.Module, architecture: str, layer: str, side: int) -> nn.Module:
    """Return the head from pictures of ``side`` px to a layer's output, before its ReLU."""
    device = next(model.parameters()).device
    return split(model, fc_node(architecture, layer), torch.zeros(2, 3, side, side, device=device))[
        0
    ]


def initial(plan: ConceptNetwork, classes: int, given: Given) -> nn.Module:
    """Build a network before training; student and baseline are equal, bit for bit."""
    part = "teacher" if plan.role == "teacher" else "student and baseline"
    seed = derive_seed("concepts", plan.dataset, plan.architecture, part, plan.seed)
    shape = given.shape.started(plan.start)
    return build_with_head(plan.architecture, classes, shape, seed, given.lessons.new_layers)


def _make(plan: ConceptNetwork, given: Given, product: Product, device: torch.device) -> None:
    started = time.perf_counter()
    folder, lessons = product.folder, given.lessons
    names = concept_classes(given.images, lessons.classes)
    pictures = load_pictures(given.images, "train", lessons.classes)
    # a third faster for narrow networks on a CPU, and best for tensor cores
    model = initial(plan, len(names), given).to(memory_format=torch.channels_last).to(device)
    side = pictures.images.shape[-1]
    lesson = label_lesson(model)
    if plan.teacher is not None:
        teacher = load_at(plan.teacher, folder.parent, None).to(device)
        own, wanted = (
            layer_head(one, plan.architecture, plan.layer, side) for one in (model, teacher)
        )
        lesson = distillation_lesson(own, wanted, lessons.distil_loss)
    finetuned = plan.start == "pretrained"
    crops = plan.role == "teacher" and not finetuned and lessons.teacher_augment == "crop"
    rate, last = rates_of(plan, lessons)
    course = Course(plan.name, lessons, rate, derive_seed(plan.name), device, crops, last / rate)
    watched = _watched(model, plan.architecture, given.layers, side)
    history = train_to_checkpoints(model, lesson, pictures, course, watched, product)
    if plan.teacher is not None:
        _teach_above(model, plan, pictures, lessons, device)
    save_weights(model, folder / WEIGHTS)
    write_bytes_atomic(folder / HISTORY, history.to_csv(index=False).encode())
    test = load_pictures(given.images, "test", lessons.classes)
    card = asdict(plan) | {
        "name": plan.name,
        "class_names": names,
        "first_rate": rate,
        "last_rate": last,
        "finetuned": finetuned,
        "shape": plain(given.shape),
        "lessons": plain(lessons),
        "layers": list(given.layers),
        "image_store": given.images.digest,
        "images": len(pictures.labels),
        "accuracy": {
            "test": accuracy(model, test, device),
            "train": accuracy(model, pictures, device),
        },
        "versions": versions(),
        "device": str(device),
        "seconds": round(time.perf_counter() - started, 2),
    }
    if plan.teacher is not None:
        digest = read_concept_card(plan.teacher, folder.parent)["digest"]
        card |= {"origin": plan.teacher.name, "origin_digest": digest}
    kept = [checkpoint_file(epoch) for epoch in lessons.checkpoints]
    product.finish(card, [WEIGHTS, HISTORY, *kept])
    LOG.info("%s: test accuracy %.1f %%", plan.name, card["accuracy"]["test"])


def read_history(plan: ConceptNetwork, folder: Path) -> pd.DataFrame:
    """Read the history of :func:`kc.concepts.training.train_to_checkpoints`."""
    read_concept_card(plan, folder)
    return pd.read_csv(folder / plan.name / HISTORY)


def rates_of(plan: ConceptNetwork, lessons: Lessons) -> tuple[float, float]:
    """Return the learning rates of a network's first and last epoch.

    A student learns at the baseline's rates unless ``lessons.distil_rates`` names its own.
    """
    if plan.role == "student":
        own = lessons.distil_rate(plan.architecture, plan.layer)
        if own is not None:
            return own if isinstance(own, tuple) else (own, own * RATE_FALL)
    scratch = lessons.teacher_rate if plan.role == "teacher" else lessons.baseline_rate
    families = lessons.family_rates.items()
    factors = [factor for family, factor in families if plan.architecture.startswith(family)]
    first = lessons.finetune_rate if plan.start == "pretrained" else scratch
    rate = first * (factors[0] if factors else 1)
    return rate, rate * RATE_FALL


def _watched(model: nn.Module, architecture: str, layers: Sequence[str], side: int) -> Watched:
    """Select the parameters of the distances: all, those up to each layer, each layer's weight."""
    by_step: dict[str, Tensor] = {}
    by_epoch: dict[str, list[Tensor]] = {ALL: [*model.parameters()]}
    for layer in layers:
        by_step[layer] = model.get_parameter(f"{fc_node(architecture, layer)}.weight")
        by_epoch[UP_TO + layer] = [*layer_head(model, architecture, layer, side).parameters()]
    return Watched(by_step, by_epoch)


def _teach_above(
    model: nn.Module,
    plan: ConceptNetwork,
    pictures: LabelledPictures,
    lessons: Lessons,
    device: torch.device,
) -> None:
    """Train only the layers above the target, on labels [C20, Sec. 4.1]."""
    side = pictures.images.shape[-1]
    node = fc_node(plan.architecture, plan.layer)
    head, tail = split(model.eval(), node, torch.zeros(2, 3, side, side, device=device))
    if not any(True for _ in tail.parameters()):
        return
    with torch.no_grad():
        parts = torch.split(pictures.images, 256)
        features = torch.cat([head(normalise(part).to(device)).cpu() for part in parts])
    seed = derive_seed("concepts above", plan.name)
    found = train_tail(tail, HeldFeatures(features), pictures.labels, lessons.above, seed, device)
    model.load_state_dict(found.tail.state_dict(), strict=False)
