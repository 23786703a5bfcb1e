"""Run a user's network on pictures, as the user says it is run."""

from typing import Any

import torch
from torch import Tensor

from kc.comparison.networks import OwnNetwork
from kc.networks.hooks import without_fastpath


def run(network: OwnNetwork, pictures: Tensor, seed: int = 0) -> Any:
    """Return what a network gives, without gradients and with a fixed random seed."""
    with torch.inference_mode(), without_fastpath(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network.run(network.model, pictures)
