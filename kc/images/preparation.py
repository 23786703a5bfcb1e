"""Prepare a picture for a network: resize and crop it, as its weights were trained with."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from kc.settings.preparation import Preparation


def prepared(picture: Image.Image, how: Preparation) -> NDArray[np.uint8]:
    """Resize a picture and crop it at the centre; return (3, size, size).

    The steps are those of torchvision's and timm's transforms for evaluation, so the pixels are
    the same.
    """
    size = [how.resize, how.resize] if how.aspect == "squash" else [how.resize]
    resized = F.resize(picture, size, InterpolationMode(how.interpolation))
    return np.ascontiguousarray(
        np.asarray(F.center_crop(resized, [how.size, how.size])).transpose(2, 0, 1)
    )


def view(size: tuple[int, int], how: Preparation) -> tuple[float, float]:
    """Return which part of a picture's height and width the network sees, about its centre.

    ``size``: width and height, px.
    """
    width, height = size
    if how.aspect == "squash":
        return how.size / how.resize, how.size / how.resize
    shorter = min(width, height)
    # torchvision's rounding of the longer side
    high, wide = (int(how.resize * side / shorter) for side in (height, width))
    return how.size / high, how.size / wide
