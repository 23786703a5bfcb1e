"""Look-up of stored pictures by their ids."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from kc.errors import StoreError
from kc.store import open_store

NO_PARTS: Mapping[str, tuple[float, float]] = MappingProxyType({})


def pictures_by_id(
    path: Path, ids: Sequence[str], parts: Mapping[str, tuple[float, float]] = NO_PARTS
) -> UInt8[np.ndarray, "n 3 y x"]:
    """Read the pictures of these ids from an image store, in this order.

    ``parts``: by id, the part of a height and width, about the centre, that is shown in full size.

    Raises
    ------
    StoreError
        The store is missing or damaged, or has no picture of an id.
    """
    store = open_store(path)
    at = {str(image_id): row for row, image_id in enumerate(store.image_ids)}
    missing = [image_id for image_id in ids if image_id not in at]
    if missing:
        raise StoreError(
            f"{path}: no picture '{missing[0]}' among its {len(at)} ({len(missing)} of "
            f"{len(ids)} are missing). Components and pictures must come from one image store. "
            f"Fix: {store.mend}"
        )
    pictures = store["image"][np.asarray([at[image_id] for image_id in ids], np.int64)]
    if not parts:
        return pictures
    shown = [_cut(picture, parts[name]) for picture, name in zip(pictures, ids, strict=True)]
    return np.stack(shown)


def _cut(picture: UInt8[np.ndarray, "3 y x"], part: tuple[float, float]) -> np.ndarray:
    """Cut a picture at its centre and bring what is left to the size it had."""
    high, wide = picture.shape[1:]
    away = [side * (1 - of) / 2 for side, of in zip((high, wide), part, strict=True)]
    box = (away[1], away[0], wide - away[1], high - away[0])
    whole = Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0)))
    return np.asarray(whole.resize((wide, high), Image.Resampling.BILINEAR, box)).transpose(2, 0, 1)
