"""Pretrained weights from torch's cache or a user's file."""

from pathlib import Path

import torch
from torch import nn
from torchvision import models

from kc.errors import NetworkError
from kc.networks.state import read_state
from kc.networks.weights import load_into


def weights_file(architecture: str, weights: str) -> Path:
    """Return the file of pretrained weights without downloading it.

    Parameters
    ----------
    weights
        ``imagenet``: torchvision's ``IMAGENET1K_V1`` in torch's cache; else a file's path.

    Raises
    ------
    NetworkError
        The file is missing.
    """
    if weights != "imagenet":
        path = Path(weights)
        if not path.is_file():
            raise NetworkError(
                f"networks.{architecture}.weights: no file '{path}'. Fix: give the path of a "
                "state dict (.pth or .safetensors), or 'imagenet'"
            )
        return path
    url = str(models.get_model_weights(architecture)["IMAGENET1K_V1"].url)
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if not path.is_file():
        raise NetworkError(
            f"networks.{architecture}.weights is 'imagenet', but '{path}' is not there. Fix: "
            f"download {url} into that folder, or let the study train from scratch "
            "(weights: scratch)"
        )
    return path


def load_pretrained(
    model: nn.Module, architecture: str, file: Path, new_layers: int = 1
) -> list[str]:
    """Load pretrained weights into a network, except into its last layers.

    Parameters
    ----------
    new_layers
        Number of linear layers, from the last one, that keep the model's own weights.

    Returns
    -------
    list
        Names of the tensors that were not loaded: those of the last linear layers.

    Raises
    ------
    NetworkError
        The file is no state dict of this network at this width
        (:func:`kc.networks.weights.load_into`).
    """
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    last = tuple(f"{name}." for name in linear[-new_layers:])
    fresh = [name for name in model.state_dict() if name.startswith(last)]
    fix = (
        f"the weights of {architecture}, with networks.{architecture} at width 1, head_units null "
        "and small_input false."
    )
    load_into(model, read_state(file), file, fresh, fix)
    return fresh
