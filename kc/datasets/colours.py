"""From whatever a picture's file holds to 8 bits of red, green and blue; nothing is cut off."""

import logging
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image

from kc.errors import ImageError

LOG = logging.getLogger(__name__)

DEEP = ("I;16", "I;16L", "I;16B", "I;16N")
"""Grey of 16 bits: of microscopes, X-ray and depth cameras."""
RANGELESS = ("I", "F")
"""Numbers whose black and white the file does not tell."""
ROTATION = 0x0112
"""EXIF's tag of how a picture is to be turned; 1: not at all."""
ODDITIES = {
    "deep": "grey of 16 bits, whose range 0 to 65535 became 0 to 255",
    "transparent": "transparent pixels, laid on white",
    "turned": "an EXIF rotation, which is not applied (torchvision applies none either)",
}
"""What is said, once a store, of pictures that are not taken as they are."""


class Rgb(NamedTuple):
    """A picture of 8 bits a colour, and what was done to it."""

    picture: Image.Image
    told: tuple[str, ...]
    """Keys of :data:`ODDITIES`."""


def as_rgb(picture: Image.Image) -> Rgb:
    """Bring a picture to RGB: 16 bits scaled, transparency laid on white.

    Raises
    ------
    ImageError
        Whole numbers of 32 bits, or fractions: no file says which of them is white.
    """
    told = ["turned"] if picture.getexif().get(ROTATION, 1) != 1 else []
    if picture.mode in RANGELESS:
        numbers = "fractions" if picture.mode == "F" else "whole numbers of 32 bits"
        raise ImageError(
            f"holds {numbers} (mode {picture.mode}), and does not say which is white; expected 8 "
            "or 16 bits. Cure: save it as one of these"
        )
    if picture.mode in DEEP:
        values = np.asarray(picture).astype(np.uint32)
        grey = Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
        return Rgb(grey.convert("RGB"), (*told, "deep"))
    if picture.has_transparency_data:
        drawn = picture.convert("RGBA")
        if np.asarray(drawn.getchannel("A")).min() < 255:
            told.append("transparent")
        white = Image.new("RGBA", drawn.size, "white")
        return Rgb(Image.alpha_composite(white, drawn).convert("RGB"), tuple(told))
    return Rgb(picture.convert("RGB"), tuple(told))


def say(where: object, told: Iterable[str]) -> None:
    """Log how many pictures were not taken as they are."""
    for oddity, count in sorted(Counter(told).items()):
        LOG.warning("%s: %d pictures have %s", where, count, ODDITIES[oddity])
