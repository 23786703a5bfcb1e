"""From whatever a picture's file holds to 8 bits of red, green and blue; nothing is cut off."""

import logging
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from PIL import Image

from kc.errors import ImageError

LOG = logging.getLogger(__name__)

DEEP = ("I;16", "I;16L", "I;16B", "I;16N")
"""Grey of 16 bits: of microscopes, X-ray and depth cameras."""
DIM = 2**13
"""Of 65535; what is brightest is below it in pictures of 12 bits."""
MOVING = ("GIF", "PNG", "WEBP", "TIFF")
"""Formats of several frames; those of a JPEG are previews of the camera's."""
RANGELESS = ("I", "F")
"""Numbers whose black and white the file does not tell."""
ROTATION = 0x0112
"""EXIF's tag of how a picture is to be turned; 1: not at all."""
ODDITIES = {
    "deep": "grey of 16 bits, whose range 0 to 65535 became 0 to 255",
    "dim": "grey of 16 bits and nothing brighter than an eighth of white, as cameras of 12 bits "
    "give it: few of the 256 greys are left; scale such pictures to 0 to 65535 yourself",
    "transparent": "transparent pixels, laid on white",
    "moving": "several frames or pages, of which the first is taken",
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
        Whole numbers of 32 bits, or fractions: no file says which of them is white. Colours that
        Pillow cannot bring to RGB.
    """
    told = []
    # what a camera wrote beside the picture may be damaged where the picture is not
    with suppress(Exception):
        told += ["turned"] if picture.getexif().get(ROTATION, 1) != 1 else []
    try:
        converted = _converted(picture)
    except ValueError as error:
        raise ImageError(
            f"has colours of mode {picture.mode}, which do not become RGB ({error}). Fix: save it "
            "in RGB"
        ) from error
    told += converted.told
    # last, and of a picture that is done with: to look for a second frame is to leave the first
    with suppress(Exception):
        if picture.format in MOVING and getattr(picture, "is_animated", False):
            told.append("moving")
    return Rgb(converted.picture, tuple(told))


def _converted(picture: Image.Image) -> Rgb:
    # Pillow reads a PGM of more than 8 bits as I, scaled to 16
    deep = picture.mode in DEEP or (picture.mode == "I" and picture.format == "PPM")
    if deep:
        values = np.asarray(picture).astype(np.uint32)
        grey = Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
        dim = 0 < values.max() < DIM
        return Rgb(grey.convert("RGB"), ("deep", "dim") if dim else ("deep",))
    if picture.mode in RANGELESS:
        numbers = "fractions" if picture.mode == "F" else "whole numbers of 32 bits"
        raise ImageError(
            f"holds {numbers} (mode {picture.mode}), and does not say which is white; expected 8 "
            "or 16 bits. Fix: save it as one of these"
        )
    if picture.has_transparency_data:
        drawn = picture.convert("RGBA")
        clear = np.asarray(drawn.getchannel("A")).min() < 255
        white = Image.new("RGBA", drawn.size, "white")
        laid = Image.alpha_composite(white, drawn).convert("RGB")
        return Rgb(laid, ("transparent",) if clear else ())
    return Rgb(picture.convert("RGB"), ())


def say(where: object, told: Iterable[str]) -> None:
    """Log how many pictures were not taken as they are."""
    for oddity, count in sorted(Counter(told).items()):
        LOG.warning("%s: %d pictures have %s", where, count, ODDITIES[oddity])
