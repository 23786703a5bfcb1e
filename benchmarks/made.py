"""Stores and networks for the benchmarks, made in a temporary folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kc.names import Architecture
from kc.networks import build
from kc.networks.checkpoint import save_weights
from kc.settings.recipes import Network
from kc.store import ArraySpec, Store, StoreContent, StoreWriter, open_store
from kc.store.product import Product

SHARD_ROWS = 256


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a temporary folder."""
    with TemporaryDirectory(prefix="kc-bench-") as folder:
        yield Path(folder)


def pictures(folder: Path, count: int, side: int = 64) -> Store:
    """Write an image store of random pixels."""
    spec = ArraySpec("image", ("image", "channel", "y", "x"), (count, 3, side, side), "uint8")
    rng = np.random.default_rng(0)
    with StoreWriter(
        folder / "images.zarr", "k", StoreContent([spec], _rows(count), SHARD_ROWS)
    ) as writer:
        for shard in writer.missing():
            rows = writer.rows(shard)
            shape = (rows.stop - rows.start, *spec.shape[1:])
            writer.write(shard, {"image": rng.integers(0, 255, shape, np.uint8)})
        writer.finish()
    return open_store(folder / "images.zarr")


def features(path: Path, count: int, shape: tuple[int, ...], seed: int = 0) -> Store:
    """Write a store of random float16 features, with the array ``feature``."""
    rng = np.random.default_rng(seed)
    return _write(path, count, shape, lambda rows: rng.standard_normal((rows, *shape), np.float32))


def features_of(path: Path, values: NDArray[np.float32]) -> Store:
    """Write a store of the given features as float16, with the array ``feature``."""
    parts = iter(np.split(values, range(SHARD_ROWS, len(values), SHARD_ROWS)))
    return _write(path, len(values), values.shape[1:], lambda _: next(parts))


def _write(
    path: Path, count: int, shape: tuple[int, ...], make: Callable[[int], NDArray[np.float32]]
) -> Store:
    dims = {3: ("image", "channel", "y", "x"), 1: ("image", "unit")}[len(shape)]
    spec = ArraySpec("feature", dims, (count, *shape), "float16", statistics=True)
    with StoreWriter(path, "k", StoreContent([spec], _rows(count), SHARD_ROWS)) as writer:
        for shard in writer.missing():
            rows = writer.rows(shard)
            writer.write(shard, {"feature": make(rows.stop - rows.start)})
        writer.finish()
    return open_store(path)


def network(folder: Path, architecture: Architecture, width: float = 1.0, seed: int = 0) -> Path:
    """Write a network with fresh weights, which take as long as trained ones."""
    folder.mkdir(parents=True)
    shape = Network(width=width)
    weights = folder / "weights.safetensors"
    save_weights(build(architecture, 200, shape, seed), weights)
    card = {"architecture": architecture, "classes": 200, "shape": shape.model_dump(mode="json")}
    Product(folder, "made").finish(card, [weights.name])
    return folder


def _rows(count: int) -> pd.DataFrame:
    """Make the table of images; every third is a test image."""
    subset = np.where(np.arange(count) % 3 == 2, "test", "train")
    ids = [f"{i:06d}" for i in range(count)]
    return pd.DataFrame({"image_id": ids, "label": 0, "subset": subset})
