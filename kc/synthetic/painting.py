"""What a painter of one figure gives: the picture and its mask, and how finely it draws."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

SUPERSAMPLE = 3
MARGIN = 0.03
"""Of the canvas, kept free around the bird."""


class Painting(NamedTuple):
    """A picture and what is bird in it."""

    image: UInt8[np.ndarray, "h w 3"]
    foreground: Bool[np.ndarray, "h w"]
