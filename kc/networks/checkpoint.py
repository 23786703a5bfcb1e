"""Weights and training states on disk, as safetensors without pickles."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kc.errors import StoreError
from kc.networks.build import build
from kc.networks.handicap import handicapped
from kc.networks.state import read_state
from kc.networks.weights import load_into
from kc.settings.recipes import Network
from kc.store.product import read_card
from kc.store.tensors import read_tensors, write_tensors

LOG = logging.getLogger(__name__)
WEIGHTS, HISTORY, STATE = "weights.safetensors", "history.csv", "state.safetensors"
FILES = (WEIGHTS, HISTORY, STATE)
"""All files of a network's folder, apart from its checkpoints."""


def save_weights(model: nn.Module, file: Path) -> None:
    """Write a network's weights and buffers, completely or not at all."""
    write_tensors(file, model.state_dict())


def save_state(
    path: Path, model: nn.Module, optimiser: torch.optim.SGD, history: list[dict[str, Any]]
) -> None:
    """Save weights, buffers, momentum and history at the end of an epoch."""
    tensors = {f"model.{n}": v for n, v in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        momentum = optimiser.state[parameter].get("momentum_buffer")
        if momentum is not None:
            tensors[f"momentum.{name}"] = momentum
    write_tensors(path, tensors, history)


def load_state(path: Path, model: nn.Module, optimiser: torch.optim.SGD) -> list[dict[str, Any]]:
    """Load a saved state; return its history, empty if the state is missing or damaged."""
    if not path.is_file():
        return []
    try:
        tensors, history = read_tensors(path)
    except StoreError as error:
        LOG.warning("%s; training starts again", error)
        return []
    weights = {n.removeprefix("model."): v for n, v in tensors.items() if n.startswith("model.")}
    model.load_state_dict(weights)
    for name, parameter in model.named_parameters():
        if (momentum := tensors.get(f"momentum.{name}")) is not None:
            optimiser.state[parameter]["momentum_buffer"] = momentum.to(parameter.device)
    return list(history)


def load_network(folder: Path) -> nn.Module:
    """Load a trained network in eval mode on the CPU, with its handicap if it has one.

    Raises
    ------
    StoreError
        The network is not finished, or its weights or card are damaged.
    """
    card = read_card(folder, files=[WEIGHTS])
    shape = Network.model_validate(card["shape"])
    model = filled(
        lambda: build(card["architecture"], card["classes"], shape, seed=0), folder / WEIGHTS
    )
    return handicapped(model, card.get("handicap", ""))


def filled(make: Callable[[], nn.Module], file: Path) -> nn.Module:
    """Build a network with the weights and buffers of a file, in eval mode on the CPU.

    ``make`` builds it without drawing initial weights, which takes a second for a VGG.
    """
    with torch.device("meta"):
        model = make()
    assert {name for name, _ in model.named_buffers()} <= set(model.state_dict())
    state = read_state(file)
    model.to_empty(device="cpu")
    load_into(model, state, file)
    # no tensor may keep uninitialised memory, not even an unused counter
    assert set(model.state_dict()) <= set(state)
    return model.eval()
