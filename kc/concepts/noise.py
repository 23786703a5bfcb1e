"""Noise that depends only on image and step, so that results do not depend on batches."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kc.runtime import derive_seed

Noise = Callable[[int, int, int], Tensor]
"""``noise(seed of the image, step, draws)`` returns eps, (draws, 3, h, w), unit variance.

:func:`random_signs` returns signs of a feature, (draws, units), in the same way."""


SCALE_STEP = -1
"""Step number of the noise for s_f."""


def image_seed(image_id: str, seed: int = 0) -> int:
    """Return the seed of an image's noise, equal for every network and checkpoint."""
    return derive_seed("entropy", seed, image_id)


def gaussian(shape: tuple[int, int, int], device: torch.device, dtype: torch.dtype) -> Noise:
    """Return a source of standard normal noise, independent per pixel and colour [C20, Sec. 3.1].

    It is drawn on the device, so a GPU and a CPU give different noise. Step -1 is for s_f.
    """

    def draw(seed: int, step: int, draws: int) -> Float[Tensor, "draws 3 h w"]:
        generator = torch.Generator(device).manual_seed(derive_seed(seed, step))
        return torch.randn((draws, *shape), generator=generator, device=device, dtype=dtype)

    return draw


def random_signs(units: int, device: torch.device, dtype: torch.dtype) -> Noise:
    """Return a source of signs for a feature's elements, (draws, units), -1 or 1 equally likely.

    They are rows of a Hadamard matrix in random order with randomly flipped columns: orthogonal to
    each other until all rows are used. So for a feature with few elements their mean of (v . J)^2
    equals |J|^2 with hardly any noise.
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
