"""Networks by names of torchvision, with its weights or without."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision import models

from kc.comparison.loading import Loaded, fetched
from kc.errors import NetworkError
from kc.settings.preparation import Preparation

TORCHVISION = "torchvision:"


def torchvision_names() -> Sequence[str]:
    """List the classifiers."""
    found: list[str] = models.list_models(module=models)
    return found


def torchvision_weights(name: str) -> list[str]:
    """List the names of a network's weights."""
    return list(models.get_model_weights(name).__members__)


def torchvision_network(name: str, tag: str | None, load: bool = True, **about: Any) -> Loaded:
    """Build a network with the weights ``tag``; None: with random ones.

    ``load=False``: random weights, with the preparation of ``tag``.

    Raises
    ------
    NetworkError
        There are no such weights, or they cannot be loaded.
    """
    if tag is None:
        return Loaded(_made(name, None, **about))
    if tag not in torchvision_weights(name):
        raise NetworkError(
            f"{TORCHVISION}{name}: torchvision has no weights '{tag}'; expected one of "
            f"{', '.join(torchvision_weights(name)) or 'none'}. Fix: {TORCHVISION}{name}/NAME"
        )
    weights = models.get_model_weights(name)[tag]
    prepared = _prepared(weights.transforms())
    if not load:
        return Loaded(_made(name, None, **about), prepared=prepared)
    file = Path(torch.hub.get_dir(), "checkpoints", weights.url.rpartition("/")[2])
    model = fetched(
        f"{TORCHVISION}{name}/{tag}",
        lambda: _made(name, weights, **about),
        lambda: (
            f"{file.name} was looked for in {file.parent}. Fix: download {weights.url} into it, or "
            "set TORCH_HOME to the folder above hub/"
        ),
    )
    return Loaded(model, f"{weights.name} of torchvision", (file,), prepared)


def _made(name: str, weights: Any, **about: Any) -> nn.Module:
    with warnings.catch_warnings():
        # torchvision warns that some initialisations are slow
        warnings.simplefilter("ignore", FutureWarning)
        model: nn.Module = models.get_model(name, weights=weights, **about)
    return model


def _prepared(transforms: Any) -> Preparation:
    """Read torchvision's preset for classification: its attributes are lists of one side."""
    return Preparation(
        size=transforms.crop_size[0],
        resize=transforms.resize_size[0],
        aspect="keep",
        interpolation=transforms.interpolation.value,
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
    )
