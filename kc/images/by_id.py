"""Look-up of stored pictures by their ids."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from kc.errors import StoreError
from kc.store import open_store


def pictures_by_id(path: Path, ids: Sequence[str]) -> UInt8[np.ndarray, "n 3 y x"]:
    """Read the pictures of these ids from an image store, in this order.

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
    return store["image"][np.asarray([at[image_id] for image_id in ids], np.int64)]
