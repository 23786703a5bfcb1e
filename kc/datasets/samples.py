"""Samples, which every reader returns, and checks that all layouts share."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from kc.datasets.archive import Files
from kc.errors import ImageError
from kc.names import Subset
from kc.settings.dataset import Dataset


class Box(NamedTuple):
    """A rectangle in px of the archive's picture; right and bottom are excluded."""

    left: float
    top: float
    right: float
    bottom: float


class Sample(NamedTuple):
    """One row of the image store: where its pixels are and what is known about it."""

    image_id: str
    """Unique in the data set, e.g. the path in its list."""
    class_name: str
    label: int
    """0 .. classes - 1, in the order of the official class numbers."""
    subset: Subset
    file: str
    """Name of the picture in the archive."""
    box: Box | None
    """Part of the picture that is kept; None: all of it."""
    box_at: str
    """File and line (or object) the box was read from, for messages."""
    mask: str | None
    """Name of the foreground mask in the archive, if it has one."""
    mask_value: int | None = None
    """Value of this sample's pixels in an indexed mask; None: the mask is grey, bright inside."""
    superclass: str = ""
    """Superclass, e.g. ``bird``; empty if the layout defines none."""


Reader = Callable[[Files, Dataset], list[Sample]]
"""Function that reads the lists of a layout without decoding pictures; see ``read_cub``."""


def listed_file(files: Files, name: str, at: str) -> str:
    """Return the name of a file that is listed at ``at``; raise ImageError if it is missing."""
    if name not in files:
        raise ImageError(
            f"{files.where}: {at}: '{name}' is listed but not there. "
            "Fix: download the archive again."
        )
    return name


def numbered(names: Iterable[str]) -> dict[str, int]:
    """Number the class names 0 .. classes - 1, alphabetically."""
    return {name: label for label, name in enumerate(sorted(set(names)))}


def check_trained(files: Files, samples: Sequence[Sample]) -> None:
    """Check that there are samples, and that every class has a training image.

    Raises
    ------
    ImageError
        There are no samples, or a class has no training image.
    """
    if not samples:
        raise ImageError(
            f"{files.where}: its lists name no object to classify. Fix: check the lists."
        )
    trained = {sample.label for sample in samples if sample.subset == "train"}
    for sample in samples:
        if sample.label not in trained:
            raise ImageError(
                f"{files.where}: class '{sample.class_name}' has no training image "
                f"('{sample.image_id}' is a test image). Fix: remove the class, or move one "
                "of its images to the training list."
            )
