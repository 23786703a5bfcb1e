"""Picture and mask of one painted figure, and constants of painting."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

SUPERSAMPLE = 3
MARGIN = 0.03
"""Share of the canvas that stays free around the figure."""


class Painting(NamedTuple):
    """A picture and the mask of its figure."""

    image: UInt8[np.ndarray, "h w 3"]
    foreground: Bool[np.ndarray, "h w"]
