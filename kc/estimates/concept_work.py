"""Estimate the image-steps, operations and hours of the concepts study before it runs."""

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, get_args

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.feature_extraction import create_feature_extractor

from kc.concepts import preset
from kc.concepts.architectures import build_with_head, fc_node
from kc.concepts.bound import HALVINGS
from kc.estimates.runs import CLASSES, images_of
from kc.names import Architecture
from kc.plans.concept_products import ConceptNetwork, concept_networks, epochs_seen, layers_seen
from kc.runtime import pick_device
from kc.settings.concepts import FC, Concepts
from kc.settings.whole import Settings

TRAINED: Mapping[str, float] = MappingProxyType(
    {"cub": 0.51, "dogs": 0.58, "voc": 0.5, "det": 0.92}
)
"""Share of an archive's objects in its official training lists; for DET, of the twelve mammals of
``workflow/presets/paper.yaml``."""
_ON_CPU = 8
"""Images per step in a measurement on a CPU; more do not change the rate."""
_COUNTED = 2
"""Images of one count, by which it is divided."""


class Cost(NamedTuple):
    """Operations for one image up to one layer; a multiply-add counts as two."""

    forward: float
    learn: float
    """Forward and backward to the weights."""
    probe: float
    """Forward and backward to the image."""


def concepts_work(settings: Settings) -> pd.DataFrame:
    """Count the work of each data set and architecture; see :func:`assumptions`.

    Columns: dataset, network, networks (trained), training_steps and search_steps (image-steps: one
    image, forward and backward), training_pflop and search_pflop (10^15 operations).

    Raises
    ------
    SettingsError
        The number of images of a data set is unknown.
    """
    plans = concept_networks(settings.of(Concepts))
    kinds = {(plan.architecture, settings.datasets[plan.dataset].size) for plan in plans}
    costs = {kind: costs_of(settings, *kind) for kind in kinds}
    rows = [
        _network(settings, plan, costs[plan.architecture, settings.datasets[plan.dataset].size])
        for plan in plans
    ]
    return pd.DataFrame(rows).groupby(["dataset", "network"], sort=False, as_index=False).sum()


def assumptions(settings: Settings) -> list[str]:
    """Return the assumptions of the count."""
    about = settings.of(Concepts)
    return [
        f"Objects trained on: the share of 'images' that the official lists train on ({TRAINED}), "
        "or what is drawn.",
        f"Searches ('{about.entropy}') take all their steps; many end earlier.",
        f"Operations of convolutions and matrix products only, at {CLASSES} classes; no decoding, "
        "augmentation, reading or writing; batch norm, ReLU and pooling are not counted.",
        "The rate is the same for training and search.",
    ]


def trained_on(settings: Settings, dataset: str) -> float:
    """Return the number of training objects: of the classes, or by the usual share."""
    about = settings.datasets[dataset]
    classes = settings.of(Concepts).lessons_of(dataset).classes
    if about.parts:
        return sum(trained_on(settings, part) for part in about.parts)
    if about.archive is None:
        drawn = about.generated
        kinds = len(classes) or drawn.classes
        return kinds * drawn.images_per_class * (1 - drawn.test_share)
    return images_of(settings, dataset) * TRAINED.get(about.layout, 1 - about.test_share)


def costs_of(settings: Settings, architecture: Architecture, size: int) -> dict[str, Cost]:
    """Count the operations up to each layer, from shapes alone."""
    with torch.device("meta"):
        shape = settings.network(architecture)
        model = build_with_head(architecture, CLASSES, shape, 0)
        image = torch.empty(_COUNTED, 3, size, size)
    layers = get_args(FC)
    return {layer: _cost(model, fc_node(architecture, layer), image) for layer in layers}


def hours(settings: Settings, work: pd.DataFrame, tflops: float | None) -> tuple[pd.DataFrame, str]:
    """Add the column ``hours`` to the result of :func:`concepts_work`; return also the rate.

    Parameters
    ----------
    tflops
        10^12 operations per second; None: measure training steps of each network on
        ``settings.device``.
    """
    if tflops is not None:
        rates = dict.fromkeys(settings.of(Concepts).all_architectures, tflops)
        said = f"{tflops:g}, as given"
    else:
        device = pick_device(settings.device)
        plans = concept_networks(settings.of(Concepts))
        sizes = {plan.architecture: settings.datasets[plan.dataset].size for plan in plans}
        rates = {name: measured_rate(settings, name, size, device) for name, size in sizes.items()}
        spelled = ", ".join(f"{name} {rate:.3g}" for name, rate in rates.items())
        said = f"{spelled}; measured here, in training steps on {device}"
    pflop = work["training_pflop"] + work["search_pflop"]
    taken = pflop * 1e3 / work["network"].map(rates) / 3600
    return work.assign(hours=taken), f"Rate, 10^12 operations a second: {said}."


def measured_rate(
    settings: Settings, architecture: Architecture, size: int, device: torch.device
) -> float:
    """Time training steps of a network; return its rate in 10^12 operations per second."""
    batch = settings.of(Concepts).training.batch_size if device.type == "cuda" else _ON_CPU
    model = build_with_head(architecture, CLASSES, settings.network(architecture), 0)
    model = model.to(memory_format=torch.channels_last).to(device)
    images = torch.zeros(batch, 3, size, size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(3):  # the first one warms up
        start = time.perf_counter()
        model(images).square().mean().backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    learn = costs_of(settings, architecture, size)["fc3"].learn
    return batch * learn / min(seconds[1:]) / 1e12


def _cost(model: nn.Module, node: str, image: Tensor) -> Cost:
    part = create_feature_extractor(model, {node: "feature"})

    def counted(backward: bool, image: Tensor) -> float:
        with FlopCounterMode(display=False) as counter:
            out = part(image)["feature"].sum()
            if backward and image.requires_grad:
                torch.autograd.grad(out, image)
            elif backward:
                out.backward()
        return float(counter.get_total_flops()) / _COUNTED

    # the counter does not count gradients of a leaf
    wanted = image.clone().requires_grad_().clone()
    return Cost(counted(False, image), counted(True, image), counted(True, wanted))


def _network(
    settings: Settings, plan: ConceptNetwork, costs: Mapping[str, Cost]
) -> dict[str, str | float]:
    about, lessons = settings.of(Concepts), settings.of(Concepts).training
    search = preset(about.entropy, plan.architecture)
    objects = trained_on(settings, plan.dataset)
    layers, whole = layers_seen(plan, about), costs["fc3"]
    learned = lessons.epochs * whole.learn
    if plan.role == "student":  # forward passes of the teacher too; then the layers above
        target = costs[layers[0]]
        learned = lessons.epochs * (target.learn + target.forward) + target.forward
        learned += lessons.above.epochs * (whole.learn - target.learn)
    maps = len(epochs_seen(plan, about)) * about.images
    halvings = HALVINGS if search.search == "bound" else 0
    forward = 1 + search.scale_draws + halvings * search.draws
    probed = sum(
        forward * costs[layer].forward + search.steps * search.draws * costs[layer].probe
        for layer in layers
    )
    return {
        "dataset": plan.dataset,
        "network": plan.architecture,
        "networks": 1,
        "training_steps": round(lessons.epochs * objects),
        "search_steps": maps * len(layers) * search.steps * search.draws,
        "training_pflop": objects * learned / 1e15,
        "search_pflop": maps * probed / 1e15,
    }
