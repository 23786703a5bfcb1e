"""Noise that depends on the image and the step alone, so no block changes a result."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
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
    """Return standard normal noise, independent per pixel and colour [C20, Sec. 3.1].

    Drawn on the device, so a GPU's draws are others than a CPU's. Step -1 is that of s_f.
    """

    def draw(seed: int, step: int, draws: int) -> Float[Tensor, "draws 3 h w"]:
        generator = torch.Generator(device).manual_seed(derive_seed(seed, step))
        return torch.randn((draws, *shape), generator=generator, device=device, dtype=dtype)

    return draw


def random_signs(units: int, device: torch.device, dtype: torch.dtype) -> Noise:
    """Return signs for the elements of a feature, (draws, units), -1 or 1 with even odds.

    They are rows of a Hadamard matrix in random order with columns flipped at random: orthogonal
    to each other until, some steps later, all rows were had. So the sum over them of (v . J)^2
    comes to |J|^2 with hardly any noise of its own where the feature has few elements.
    """
    size = 1 << max(1, units - 1).bit_length()
    columns = torch.arange(units, device=device)

    def draw(seed: int, step: int, draws: int) -> Float[Tensor, "draws units"]:
        generator = torch.Generator().manual_seed(derive_seed("signs", seed))
        order = torch.randperm(size, generator=generator)
        flips = torch.randint(2, (units,), generator=generator).to(device)
        rows = order[torch.arange(step * draws, (step + 1) * draws) % size].to(device)
        return (1 - 2 * (_parity(rows[:, None] & columns) ^ flips)).to(dtype)

    return draw


def _parity(numbers: Int[Tensor, "*n"]) -> Int[Tensor, "*n"]:
    """Return 1 where an odd number of bits is set, else 0."""
    for bits in (32, 16, 8, 4, 2, 1):
        numbers = numbers ^ (numbers >> bits)
    return numbers & 1
