"""Weights and training states on disk, as safetensors: no pickles."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from kc.config import Network
from kc.errors import NetworkError
from kc.networks.build import build
from kc.store.files import file_digest, read_json


def save_weights(model: nn.Module, file: Path) -> None:
    """Write a network's weights and buffers aside, then rename."""
    weights = {n: value.detach().cpu().contiguous() for n, value in model.state_dict().items()}
    aside = file.with_suffix(".part")
    save_file(weights, aside)
    aside.replace(file)


def save_state(
    path: Path, model: nn.Module, optimiser: torch.optim.SGD, history: list[dict[str, Any]]
) -> None:
    """Save weights, buffers, momentum and history at the end of an epoch, aside then renamed."""
    tensors = {f"model.{n}": v.detach().cpu() for n, v in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        momentum = optimiser.state[parameter].get("momentum_buffer")
        if momentum is not None:
            tensors[f"momentum.{name}"] = momentum.detach().cpu()
    aside = path.with_suffix(".part")
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    save_file(tensors, aside, metadata={"history": json.dumps(history)})
    aside.replace(path)


def load_state(path: Path, model: nn.Module, optimiser: torch.optim.SGD) -> list[dict[str, Any]]:
    """Put a saved state back and give the history so far."""
    tensors = load_file(path)
    weights = {n.removeprefix("model."): v for n, v in tensors.items() if n.startswith("model.")}
    model.load_state_dict(weights)
    for name, parameter in model.named_parameters():
        if (momentum := tensors.get(f"momentum.{name}")) is not None:
            optimiser.state[parameter]["momentum_buffer"] = momentum.to(parameter.device)
    with safe_open(path, framework="pt") as file:
        history: list[dict[str, Any]] = json.loads(file.metadata()["history"])
    return history


def load_network(folder: Path) -> nn.Module:
    """Load a trained network in eval mode on the CPU; damaged weights are refused."""
    card = read_json(folder / "card.json")
    weights = folder / "weights.safetensors"
    if not weights.is_file() or file_digest(weights) != card["digest"]:
        raise NetworkError(
            f"{weights}: the weights are missing or not those of card.json. "
            f"Cure: rm -r {folder} and run the workflow again"
        )
    shape = Network.model_validate(card["shape"])
    model = build(card["architecture"], card["classes"], shape, seed=0)
    model.load_state_dict(load_file(weights))
    return model.eval()
