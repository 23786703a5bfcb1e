"""Decode pictures and masks, crop them to the box, resize them once."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kc.datasets.archive import Files
from kc.datasets.colours import Rgb, as_rgb
from kc.datasets.opening import open_picture
from kc.datasets.samples import Sample
from kc.errors import ImageError

OVERHANG = 1.5
"""How far a box may exceed its picture and be clamped, px: official boxes do, by rounding."""
MASK_THRESHOLD = 128
"""Official masks average several annotators: foreground is where half of them agree."""

_INDEXED = ("P", "L")


class Pixels(NamedTuple):
    """One sample as it is stored."""

    image: NDArray[np.uint8]
    """(3, size, size)"""
    foreground: NDArray[np.bool_] | None
    """(size, size); None if no mask is known"""
    told: tuple[str, ...] = ()
    """What was changed (keys of :data:`kc.datasets.colours.ODDITIES`)."""


def decode(
    sample: Sample, files: Files, size: int, crop: float = 1.0, box_foreground: bool = False
) -> Pixels:
    """Decode a picture (and mask), crop to the box, resize to ``size`` x ``size``.

    The aspect ratio is not kept [L20, Sec. 4]. Greyscale becomes three equal colours, 16 bits
    become 8, transparency becomes white (:mod:`kc.datasets.colours`). The picture is resized
    bilinearly with antialiasing, the mask by nearest neighbour.

    Parameters
    ----------
    crop
        Factor by which the box is widened first, see :func:`crop_box`.
    box_foreground
        Use the box as foreground if a sample has no mask.

    Raises
    ------
    ImageError
        A file does not decode, the mask has another size, the box is outside the picture.
    """
    picture, told = rgb_of(sample, files)
    kept = crop_box(sample, picture.size, files, crop)
    resized = picture.crop(kept).resize((size, size), Image.Resampling.BILINEAR)
    image = np.ascontiguousarray(np.asarray(resized).transpose(2, 0, 1))
    if not has_foreground(sample, box_foreground):
        return Pixels(image, None, told)
    inside = Image.fromarray(_foreground(sample, picture.size, files))
    small = inside.crop(kept).resize((size, size), Image.Resampling.NEAREST)
    return Pixels(image, np.asarray(small), told)


def has_foreground(sample: Sample, box_foreground: bool) -> bool:
    """Return whether a sample has a mask, or a box that is used instead."""
    return sample.mask is not None or (box_foreground and sample.box is not None)


def crop_box(
    sample: Sample, size: tuple[int, int], files: Files, widened: float = 1.0
) -> tuple[int, int, int, int]:
    """Return the box in integer px inside a picture of ``size`` (width, height), at least 1 px.

    Parameters
    ----------
    widened
        Factor on its width and height about its centre; the result is clipped to the picture.
    """
    width, height = size
    if sample.box is None:
        return (0, 0, width, height)
    left, top, right, bottom = sample.box
    if min(left, top, width - right, height - bottom) < -OVERHANG:
        raise ImageError(
            f"{files.where}: {sample.box_at}: the box of '{sample.image_id}' (x {left:g} to "
            f"{right:g}, y {top:g} to {bottom:g}) is outside its picture of {_spell(size)} px. "
            "Fix: correct the line, or download the archive the lists belong to."
        )
    aside, above = (widened - 1) / 2 * (right - left), (widened - 1) / 2 * (bottom - top)
    x = min(max(round(left - aside), 0), width - 1)
    y = min(max(round(top - above), 0), height - 1)
    end_x, end_y = min(round(right + aside), width), min(round(bottom + above), height)
    return (x, y, max(end_x, x + 1), max(end_y, y + 1))


def _foreground(sample: Sample, size: tuple[int, int], files: Files) -> NDArray[np.bool_]:
    """Return the foreground of an uncropped picture of ``size``, from the mask or the box.

    The box is that of :func:`crop_box`, so an unwidened crop is all foreground.
    """
    if sample.mask is None:
        x, y, end_x, end_y = crop_box(sample, size, files)
        inside = np.zeros(size[::-1], dtype=bool)
        inside[y:end_y, x:end_x] = True
        return inside
    mask = _open(sample.mask, sample, files)
    if mask.size != size:
        raise ImageError(
            f"{files.where}: mask '{sample.mask}' has {_spell(mask.size)} px, its picture "
            f"'{sample.file}' {_spell(size)}. Fix: download the masks of this archive."
        )
    return _inside(mask, sample, files)


def _inside(mask: Image.Image, sample: Sample, files: Files) -> NDArray[np.bool_]:
    """Return the sample's pixels in the uncropped mask."""
    if sample.mask_value is None:
        return np.asarray(as_rgb(mask).picture.convert("L")) >= MASK_THRESHOLD
    if mask.mode not in _INDEXED:
        raise ImageError(
            f"{files.where}: mask '{sample.mask}' is a picture of mode {mask.mode}, expected one "
            "number per pixel (a PNG with a palette, or grey). Fix: download the official masks."
        )
    inside: NDArray[np.bool_] = np.asarray(mask) == sample.mask_value
    return inside


def rgb_of(sample: Sample, files: Files) -> Rgb:
    """Decode a picture to red, green and blue, uncropped.

    Raises
    ------
    ImageError
        It does not decode.
    """
    picture = _open(sample.file, sample, files)
    try:
        return as_rgb(picture)
    except ImageError as error:
        raise ImageError(f"{files.where}: '{sample.file}' {error}.") from error


def _open(name: str, sample: Sample, files: Files) -> Image.Image:
    data = files.read(name)
    try:
        return open_picture(data)
    except ImageError as error:
        raise ImageError(
            f"{files.where}: '{name}' (of image '{sample.image_id}', {len(data):,} bytes) {error}. "
            "Fix: download the archive again, or remove the image from the lists."
        ) from error


def _spell(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
