"""What every reader hands on: samples, whatever the layout they came from."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from kc.datasets.archive import Files
from kc.errors import ImageError
from kc.names import Subset
from kc.settings.dataset import Dataset


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
    """File and line (or object) the box was read from, for messages."""
    mask: str | None
    """Name of the foreground mask in the archive, where there is one."""
    mask_value: int | None = None
    """What this sample's pixels are in an indexed mask; none: the mask is grey, bright inside."""
    superclass: str = ""
    """What kind of thing the class is, e.g. ``bird``; empty where the layout does not tell."""


Reader = Callable[[Files, Dataset], list[Sample]]
"""Reads the lists of a layout; decodes nothing. Raises ImageError naming file and line."""


def listed_file(files: Files, name: str, at: str) -> str:
    """Return the name of a file that is listed at ``at``; raise ImageError if it is missing."""
    if name not in files:
        raise ImageError(
            f"{files.where}: {at}: '{name}' is listed but not there. "
            "Fix: download the archive again."
        )
    return name


def numbered(names: Iterable[str]) -> dict[str, int]:
    """Number the class names that occur 0 .. classes - 1, alphabetically."""
    return {name: label for label, name in enumerate(sorted(set(names)))}


def check_trained(files: Files, samples: Sequence[Sample]) -> None:
    """Refuse a data set without samples, or with a class that none is trained on.

    Raises
    ------
    ImageError
        Names the data set and the class.
    """
    if not samples:
        raise ImageError(f"{files.where}: its lists name no object to classify.")
    trained = {sample.label for sample in samples if sample.subset == "train"}
    for sample in samples:
        if sample.label not in trained:
            raise ImageError(
                f"{files.where}: class '{sample.class_name}' has no training image "
                f"('{sample.image_id}' is a test image). Fix: take the class out, or move one "
                "of its images to the training list."
            )
