"""Conversion of pictures of any mode to 8 bits of red, green and blue."""

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
"""Pillow's modes of 16-bit grey (microscopes, X-ray, depth cameras)."""
DIM = 2**13
"""A 16-bit picture whose values are all below this probably has 12 bits."""
MOVING = ("GIF", "PNG", "WEBP", "TIFF")
"""Formats with several frames; the further frames of a JPEG are previews."""
RANGELESS = ("I", "F")
"""Modes of numbers for which the file does not define black and white."""
ROTATION = 0x0112
"""EXIF tag of the orientation of a picture; 1: not turned."""
ODDITIES = {
    "deep": "grey of 16 bits, whose range 0 to 65535 became 0 to 255",
    "dim": "grey of 16 bits and no value above an eighth of white, as from cameras of 12 bits: few "
    "of the 256 greys are left; scale such pictures to 0 to 65535 yourself",
    "transparent": "transparent pixels, which became white",
    "moving": "several frames or pages, of which the first is used",
    "turned": "an EXIF rotation, which is not applied (torchvision applies none either)",
}
"""Log text, once a store, for each kind of picture that was changed."""


class Rgb(NamedTuple):
    """A picture of 8 bits per colour, and what was done to it."""

    picture: Image.Image
    told: tuple[str, ...]
    """Keys of :data:`ODDITIES`."""


def as_rgb(picture: Image.Image) -> Rgb:
    """Convert a picture to RGB: scale 16 bits to 8, put transparency on white.

    Raises
    ------
    ImageError
        The picture has 32-bit integers or floats, whose white is not defined, or colours that
        Pillow cannot convert to RGB.
    """
    told = []
    # damaged metadata does not matter if the picture itself can be read
    with suppress(Exception):
        told += ["turned"] if picture.getexif().get(ROTATION, 1) != 1 else []
    try:
        converted = _converted(picture)
    except ValueError as error:
        raise ImageError(
            f"has colours of mode {picture.mode}, which Pillow cannot convert to RGB "
            f"({error}). Fix: save it in RGB"
        ) from error
    told += converted.told
    # last, because looking for a second frame moves on from the first
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
        numbers = "floats" if picture.mode == "F" else "integers of 32 bits"
        raise ImageError(
            f"holds {numbers} (mode {picture.mode}), whose white is not defined; expected 8 "
            "or 16 bits. Fix: save it with 8 or 16 bits"
        )
    if picture.has_transparency_data:
        drawn = picture.convert("RGBA")
        clear = np.asarray(drawn.getchannel("A")).min() < 255
        white = Image.new("RGBA", drawn.size, "white")
        laid = Image.alpha_composite(white, drawn).convert("RGB")
        return Rgb(laid, ("transparent",) if clear else ())
    return Rgb(picture.convert("RGB"), ())


def say(where: object, told: Iterable[str]) -> None:
    """Log how many pictures were changed, by reason."""
    for oddity, count in sorted(Counter(told).items()):
        LOG.warning("%s: %d pictures have %s", where, count, ODDITIES[oddity])
