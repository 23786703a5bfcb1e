"""Segmentation masks as in Pascal VOC: indexed PNGs with its palette and void rims."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageFilter

VOID = 255
"""Value of the undecided rim around an object."""


def object_map(
    visible: Sequence[Bool[np.ndarray, "h w"]], side: int
) -> UInt8[np.ndarray, "side side"]:
    """Number the pixels of each object of a square picture from 1, in order.

    0 is background, 255 the rim, which is one pixel wide and outside an object, on the background
    or on an earlier object of the list.
    """
    numbers = np.zeros((side, side), dtype=np.uint8)
    for number, mask in enumerate(visible, 1):
        numbers[mask] = number
    spread = np.asarray(Image.fromarray(numbers).filter(ImageFilter.MaxFilter(3)))
    return np.where(spread != numbers, VOID, numbers).astype(np.uint8)


def class_map(objects: UInt8[np.ndarray, "h w"], values: Sequence[int]) -> UInt8[np.ndarray, "h w"]:
    """Replace the number of each object by the value of its class; keep background and rim."""
    table = np.zeros(256, dtype=np.uint8)
    table[1 : len(values) + 1] = values
    table[VOID] = VOID
    return np.asarray(table[objects])


def save_mask(mask: UInt8[np.ndarray, "h w"], path: Path) -> None:
    """Write a mask as an indexed PNG and create its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(mask)
    picture.putpalette(_PALETTE)
    picture.save(path)


def palette() -> list[int]:
    """Return VOC's 256 colours, flat: bits 0, 3, 6 of a value are red, 1, 4, 7 green, 2, 5 blue."""
    colours = np.zeros((256, 3), dtype=np.int64)
    values = np.arange(256)
    for place in range(3):
        for channel in range(3):
            bit = values >> (3 * place + channel) & 1
            colours[:, channel] |= bit << (7 - place)
    return [int(value) for value in colours.ravel()]


_PALETTE = palette()
