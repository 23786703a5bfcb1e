"""From bytes to pixels: decode, crop to the box, resize once."""

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kc.errors import ImageError
from kc.images.archive import Files
from kc.images.samples import Sample

OVERHANG = 1.5
"""How far a box may stick out of its picture and be clamped, px: official boxes do, by rounding."""
MASK_THRESHOLD = 128
"""Official masks average several drawers: foreground is where half of them say so."""

_INDEXED = ("P", "L")
_UNDECODABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)


class Pixels(NamedTuple):
    """One sample as it is stored."""

    image: NDArray[np.uint8]
    """(3, size, size)"""
    foreground: NDArray[np.bool_] | None
    """(size, size), where a mask is known"""


def decode(sample: Sample, files: Files, size: int) -> Pixels:
    """Decode a picture (and mask), crop to the box, resize to ``size`` x ``size``.

    The aspect is not kept [L20, Sec. 4]. Greyscale becomes three equal colours. The picture is
    resized bilinearly with antialiasing, the mask by nearest neighbour.

    Raises
    ------
    ImageError
        A file does not decode, the mask has another size, the box is outside the picture.
    """
    picture = _open(sample.file, sample, files).convert("RGB")
    crop = crop_box(sample, picture.size, files)
    resized = picture.crop(crop).resize((size, size), Image.Resampling.BILINEAR)
    image = np.ascontiguousarray(np.asarray(resized).transpose(2, 0, 1))
    if sample.mask is None:
        return Pixels(image, None)
    mask = _open(sample.mask, sample, files)
    if mask.size != picture.size:
        raise ImageError(
            f"{files.where}: mask '{sample.mask}' has {_spell(mask.size)} px, its picture "
            f"'{sample.file}' {_spell(picture.size)}. Cure: fetch the masks of this archive."
        )
    inside = Image.fromarray(_inside(mask, sample, files))
    small = inside.crop(crop).resize((size, size), Image.Resampling.NEAREST)
    return Pixels(image, np.asarray(small))


def crop_box(sample: Sample, size: tuple[int, int], files: Files) -> tuple[int, int, int, int]:
    """Give the box in whole px inside a picture of ``size`` (width, height), 1 px at least."""
    width, height = size
    if sample.box is None:
        return (0, 0, width, height)
    left, top, right, bottom = sample.box
    if min(left, top, width - right, height - bottom) < -OVERHANG:
        raise ImageError(
            f"{files.where}: {sample.box_at}: the box of '{sample.image_id}' (x {left:g} to "
            f"{right:g}, y {top:g} to {bottom:g}) is outside its picture of {_spell(size)} px. "
            "Cure: mend the line, or fetch the archive the lists belong to."
        )
    x = min(max(round(left), 0), width - 1)
    y = min(max(round(top), 0), height - 1)
    return (x, y, max(min(round(right), width), x + 1), max(min(round(bottom), height), y + 1))


def _inside(mask: Image.Image, sample: Sample, files: Files) -> NDArray[np.bool_]:
    """Tell which pixels of the whole mask are the sample's."""
    if sample.mask_value is None:
        return np.asarray(mask.convert("L")) >= MASK_THRESHOLD
    if mask.mode not in _INDEXED:
        raise ImageError(
            f"{files.where}: mask '{sample.mask}' is a picture of mode {mask.mode}, expected one "
            "number a pixel (a PNG with a palette, or grey). Cure: fetch the official masks."
        )
    inside: NDArray[np.bool_] = np.asarray(mask) == sample.mask_value
    return inside


def _open(name: str, sample: Sample, files: Files) -> Image.Image:
    data = files.read(name)
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except _UNDECODABLE as error:
        raise ImageError(
            f"{files.where}: '{name}' (of image '{sample.image_id}', {len(data):,} bytes) does "
            f"not decode: {error}. Cure: fetch the archive again, or take the image out of the "
            "lists."
        ) from error
    return image


def _spell(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
