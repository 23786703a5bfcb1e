"""Make what a similarity is read against: a network's untrained twin, and the pixels."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from kc.comparison.arrays import OwnArrays
from kc.comparison.modules import copy_of
from kc.comparison.networks import OwnNetwork
from kc.comparison.settings import CompareSettings
from kc.comparison.sides import Comparable, ComparedRows, ComparedSide, network_of, open_side
from kc.consistency.order import Rows
from kc.similarity.dual_share import ImageParts
from kc.similarity.grams import centred_about, image_gram
from kc.store import StoredArray

PIXELS = "pixels"
"""Name of the pictures themselves as a source."""
SIDE = 32
"""Side, in px, to which pictures are reduced as a source."""


def untrained_twin(network: OwnNetwork, seed: int) -> OwnNetwork:
    """Return a network of the same shape with random weights.

    Parts with ``reset_parameters`` draw their first weights anew; the values of all other weights
    (such as a transformer's class token) are shuffled, which keeps their size but not what was
    learned.
    """
    model = copy_of(network.model, network.name)
    owned: set[int] = set()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for part in model.modules():
            reset = getattr(part, "reset_parameters", None)
            if callable(reset):
                reset()
                owned |= {id(value) for value in part.parameters(recurse=False)}
        for value in model.parameters():
            if id(value) not in owned:
                order = torch.randperm(value.numel())
                value.copy_(value.flatten()[order].reshape(value.shape))
    made = f"untrained, seed {seed}"
    return replace(network, name=f"{network.name} ({made})", model=model, weights=made)


def twins_of(
    sides: Sequence[ComparedSide], models: Sequence[Comparable], settings: CompareSettings
) -> dict[str, ComparedSide]:
    """Open an untrained twin of each network with weights, with the same layers, by its letter."""
    found = {}
    for side, model in zip(sides, models, strict=True):
        if isinstance(model, OwnArrays):
            continue
        network = network_of(side.letter, model)
        if is_trainable(network):
            twin = untrained_twin(network, settings.seed)
            letter = f"{side.letter}.untrained"
            found[side.letter] = open_side(letter, twin, list(side.layers), settings)
    return found


def rows_of_twin(rows: ComparedRows, side: ComparedSide, twin: ComparedSide) -> ComparedRows:
    """Return the rows of a network's twin, which sees the same pictures."""
    return rows._replace(pictures={twin.letter: rows.pictures[side.letter]})


def is_trainable(network: OwnNetwork) -> bool:
    """Return whether a network has weights, without which an untrained twin is itself."""
    return any(True for _ in network.model.parameters())


def pixel_reader(pictures: StoredArray | np.ndarray) -> Callable[[Rows], np.ndarray]:
    """Return a function that reads rows of a store of pictures, reduced to ``SIDE`` px."""

    def read(rows: Rows) -> np.ndarray:
        some = torch.from_numpy(np.asarray(pictures[rows])).float()
        if max(some.shape[2:]) <= SIDE:
            return some.numpy()
        return F.interpolate(some, SIDE, mode="area").numpy()

    return read


def pixel_gram(
    pictures: StoredArray, order: Rows, parts: ImageParts, device: torch.device
) -> Float[Tensor, "n n"]:
    """Return the inner products of the pictures, about the mean of training images."""
    gram = image_gram(pixel_reader(pictures), order, device)
    return centred_about(gram, slice(parts.known))
