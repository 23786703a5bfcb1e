"""Normalisation of stored pixels for networks."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from kc.names import IMAGENET_MEAN, IMAGENET_STD
from kc.settings.sections import Colours


def normalise(
    images: UInt8[Tensor, "n 3 h w"],
    mean: Colours = IMAGENET_MEAN,
    std: Colours = IMAGENET_STD,
) -> Float[Tensor, "n 3 h w"]:
    """Convert uint8 pictures to float32 (0 to 1), subtract the mean, divide by the std."""
    of_mean = torch.tensor(mean, device=images.device).view(1, 3, 1, 1)
    of_std = torch.tensor(std, device=images.device).view(1, 3, 1, 1)
    return (images.to(torch.float32) / 255 - of_mean) / of_std
