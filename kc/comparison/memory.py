"""How many pictures go through a network at a time: as many as free memory bears."""

import psutil
import torch

PART = 0.25
"""Share of the free memory a batch may take."""


def batch_size(most: int, bytes_each: int, device: torch.device) -> int:
    """Give the pictures of one batch: ``most``, or fewer where memory is short; at least one.

    ``bytes_each``: what one picture takes on its way through the network.
    """
    return max(1, min(most, int(PART * free_bytes(device)) // bytes_each))


def free_bytes(device: torch.device) -> int:
    """Give the memory that is free where the network runs."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
