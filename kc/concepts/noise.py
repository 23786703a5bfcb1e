"""Noise that depends on the image and the step alone, so no block changes a result."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from kc.runtime import derive_seed

Noise = Callable[[int, int, int], Tensor]
"""``noise(seed of the image, step, draws)`` gives eps, (draws, 3, h, w), unit variance.

:func:`random_signs` gives signs of a feature, (draws, units), in the same way."""


SCALE_STEP = -1
"""The step whose noise s_f is taken with."""


def image_seed(image_id: str, seed: int = 0) -> int:
    """Seed an image by its id: every network and checkpoint meets the same noise on it."""
    return derive_seed("entropy", seed, image_id)


def gaussian(shape: tuple[int, int, int], device: torch.device, dtype: torch.dtype) -> Noise:
    """Give standard normal noise, independent per pixel and colour [C20, Sec. 3.1].

    Drawn on the device, so a GPU's draws are others than a CPU's. Step -1 is that of s_f.
    """

    def draw(seed: int, step: int, draws: int) -> Float[Tensor, "draws 3 h w"]:
        generator = torch.Generator(device).manual_seed(derive_seed(seed, step))
        return torch.randn((draws, *shape), generator=generator, device=device, dtype=dtype)

    return draw


def random_signs(units: int, device: torch.device, dtype: torch.dtype) -> Noise:
    """Give signs for the elements of a feature, (draws, units), -1 or 1 with even odds."""

    def draw(seed: int, step: int, draws: int) -> Float[Tensor, "draws units"]:
        generator = torch.Generator(device).manual_seed(derive_seed("signs", seed, step))
        bits = torch.randint(0, 2, (draws, units), generator=generator, device=device)
        return bits.to(dtype) * 2 - 1

    return draw
