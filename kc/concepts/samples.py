"""Selection of the pictures for training and for counting concepts."""

import difflib
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Int

from kc.concepts.foreground import foreground_cells
from kc.errors import ImageError, SettingsError
from kc.images.build import class_names
from kc.images.rows import rows_in
from kc.names import Subset
from kc.networks.train import LabelledPictures
from kc.store import Store


class Measured(NamedTuple):
    """The pictures in which concepts are counted."""

    rows: Int[np.ndarray, " n"]
    """Rows in the image store."""
    ids: list[str]
    foreground: Bool[torch.Tensor, "n grid grid"]
    """Cells on the object."""


def concept_classes(images: Store, classes: tuple[str, ...]) -> list[str]:
    """Return the class names by label: those given, or all of the data set.

    Raises
    ------
    SettingsError
        The data set does not have a class.
    """
    known = class_names(images.rows)
    for name in classes:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f", did you mean '{close[0]}'?" if close else ";"
            raise SettingsError(
                f"concepts, classes or dataset_classes: '{name}' is no class of {images.path}"
                f"{hint} known: {', '.join(known)}"
            )
    return list(classes) or known


def load_pictures(images: Store, subset: Subset, classes: tuple[str, ...]) -> LabelledPictures:
    """Read the pictures of a subset and of some classes; labels number these classes."""
    names = concept_classes(images, classes)
    rows = _rows_of(images, subset, names)
    labels = [names.index(name) for name in images.rows["class_name"].iloc[rows]]
    return LabelledPictures(torch.from_numpy(images["image"][rows]), torch.tensor(labels))


def measured_pictures(
    images: Store, classes: tuple[str, ...], count: int, grid: int = 16
) -> Measured:
    """Select the first training pictures, in the store's order, with object and background.

    At least one cell of the grid must be foreground and at least one must not. The selection does
    not depend on any network.

    Raises
    ------
    ImageError
        The data set has no masks, or no training picture shows object and background.
    """
    if "foreground" not in images:
        raise ImageError(
            f"{images.path}: no picture has a mask of its foreground, so concepts on the object "
            "cannot be told from those on the background (CUB-200-2011 without its segmentations "
            "is cropped to the bird's box and shows no background). Fix: set concepts.dataset to "
            "a data set with masks, put segmentations.tgz next to CUB_200_2011.tgz, or use boxes: "
            "datasets.NAME.crop 1.5 and box_foreground true"
        )
    rows = _rows_of(images, "train", concept_classes(images, classes))
    rows = rows[images.rows["has_foreground"].to_numpy(bool)[rows]]
    cells = foreground_cells(torch.from_numpy(images["foreground"][rows]), grid).flatten(1)
    mixed = (cells.any(1) & ~cells.all(1)).numpy()
    if not mixed.any():
        raise ImageError(
            f"{images.path}: of {len(rows)} training pictures with a mask none shows both object "
            f"and background on a grid of {grid} x {grid}. Fix: crop wider than the object's box"
        )
    kept = np.flatnonzero(mixed)[:count]
    ids = [str(name) for name in images.image_ids[rows[kept]]]
    return Measured(rows[kept], ids, rearrange(cells[kept], "n (y x) -> n y x", y=grid))


def _rows_of(images: Store, subset: Subset, names: list[str]) -> Int[np.ndarray, " n"]:
    rows = rows_in(images.rows, subset)
    return rows[images.rows["class_name"].iloc[rows].isin(names).to_numpy()]
