"""A small image store: a coloured square on noise shows the class; its mask is the foreground."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kc.images import open_images
from kc.store import ArraySpec, Store, StoreContent, StoreWriter

SIDE, COUNT, CLASSES = 64, 36, 3
MakeImages = Callable[..., Store]


@pytest.fixture
def make_images(tmp_path: Path) -> MakeImages:
    def make(
        name: str = "images", masked: bool = True, shuffled: bool = False, front: str = "square"
    ) -> Store:
        rng = np.random.default_rng(0)
        labels = np.arange(COUNT) % CLASSES
        pixels = rng.integers(0, 80, (COUNT, 3, SIDE, SIDE), dtype=np.uint8)
        masks = np.zeros((COUNT, SIDE, SIDE), dtype=bool)
        for row, label in enumerate(labels):
            y, x = rng.integers(4, 28, 2)
            pixels[row, label, y : y + 32, x : x + 32] += 120
            masks[row, y : y + 32, x : x + 32] = True
        if front == "all":
            masks[:] = True
        subset = np.where(np.arange(COUNT) % 9 < 6, "train", "test")
        if shuffled:
            train = np.flatnonzero(subset == "train")
            labels[train] = labels[rng.permutation(train)]
        rows = pd.DataFrame({"image_id": [f"i{i}" for i in range(COUNT)], "label": labels})
        rows["class_name"] = [f"class{label}" for label in labels]
        rows["subset"] = subset
        rows["superclass"] = ""
        rows["has_foreground"] = masked & (np.arange(COUNT) != 0)
        arrays = {"image": pixels} | ({"foreground": masks} if masked else {})
        dims = {"image": ("image", "channel", "y", "x"), "foreground": ("image", "y", "x")}
        specs = [ArraySpec(n, dims[n], v.shape, str(v.dtype)) for n, v in arrays.items()]
        path = tmp_path / f"{name}.zarr"
        with StoreWriter(path, f"{shuffled}{front}", StoreContent(specs, rows, 16)) as writer:
            for shard in writer.missing():
                writer.write(shard, {n: v[writer.rows(shard)] for n, v in arrays.items()})
            writer.finish()
        return open_images(path)

    return make
