"""What every reader hands on: samples, whatever the layout they came from."""

from collections.abc import Callable
from typing import NamedTuple

from kc.images.archive import Files
from kc.names import Subset


class Box(NamedTuple):
    """A rectangle in px of the picture as it lies in the archive; right and bottom excluded."""

    left: float
    top: float
    right: float
    bottom: float


class Sample(NamedTuple):
    """One row of the image store: where its pixels are and what is known about it."""

    image_id: str
    """Unique in the data set, e.g. the path as its list spells it."""
    class_name: str
    label: int
    """0 .. classes - 1, in the order of the official class numbers."""
    subset: Subset
    file: str
    """Name of the picture in the archive."""
    box: Box | None
    """What is kept of the picture; none: all of it."""
    box_at: str
    """File and line the box was read from, for messages."""
    mask: str | None
    """Name of the foreground mask in the archive, where there is one."""


Reader = Callable[[Files], list[Sample]]
"""Reads the lists of a layout; decodes nothing. Raises ImageError naming file and line."""
