"""Row 7: write once and read ten epochs, against one pickled file for each image.

The other side does what the released code does: both layers of an image in one file, read by a
DataLoader with two workers. It is rewritten for this benchmark only; kc itself uses no pickles.
"""

import pickle
import shutil
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.compare import Ratio, Row, Target, interleave, main
from benchmarks.made import SHARD_ROWS, features_of, scratch
from kc.consistency.data import pair_up
from kc.consistency.order import shuffled
from kc.store import open_store

BATCH = 64
Layers = tuple[NDArray[np.float32], NDArray[np.float32]]


class Pickles(Dataset[Layers]):
    """Data set with one pickled file for each image."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count = folder, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Layers:
        with (self.folder / f"{index}.pkl").open("rb") as file:
            x, y = pickle.load(file)
        return x, y


def rows(sizes: Namespace) -> list[Row]:
    shape = (sizes.channels, sizes.side, sizes.side)
    rng = np.random.default_rng(0)
    layers = tuple(rng.standard_normal((sizes.images, *shape), np.float32) for _ in range(2))
    disk: dict[str, int] = {}
    with scratch() as folder:

        def pickled() -> None:
            _write_pickles(folder / "pickles", layers)
            loader = DataLoader(
                Pickles(folder / "pickles", sizes.images),
                batch_size=BATCH,
                shuffle=True,
                num_workers=2,
            )
            for _ in range(sizes.epochs):
                _use(loader)
            disk["pickles"] = _bytes(folder / "pickles")

        def stored(memory_gb: float) -> None:
            for name, values in zip("ab", layers, strict=True):
                features_of(folder / "stores" / f"{name}.zarr", values)
            source, target = (open_store(folder / f"stores/{n}.zarr")["feature"] for n in "ab")
            pair = pair_up(source, target, torch.device("cpu"), SHARD_ROWS, memory_gb)
            everything = np.arange(sizes.images)
            for epoch in range(sizes.epochs):
                _use(pair.batches(shuffled(everything, BATCH, 0, epoch, SHARD_ROWS, 8)))
            disk["stores"] = _bytes(folder / "stores")

        def clean() -> None:
            for name in ("pickles", "stores"):
                shutil.rmtree(folder / name, ignore_errors=True)

        sides = {
            "pickles": pickled,
            "in memory": lambda: stored(100.0),
            "streamed": lambda: stored(1e-9),
        }
        times = interleave(sides, sizes.repeats, before=clean, warm=0)
    what = f"write once, read {sizes.epochs} epochs"
    against = "one pickled file an image, DataLoader with 2 workers"
    details = {
        "images": sizes.images,
        "shape": list(shape),
        "samples_per_second": times.rates(sizes.images * sizes.epochs),
        "bytes": disk,
    }
    found = [
        Row(
            f"7 {name}",
            f"{what}, {name}",
            against,
            Target(at_least=bar),
            times.ratio("pickles", name),
            details if bar > 2 else {},
        )
        for name, bar in (("in memory", 3.0), ("streamed", 1.5))
    ]
    share = disk["stores"] / disk["pickles"]
    return [*found, Row("7 disk", "bytes on disk", against, Target(at_most=0.55), Ratio([share]))]


def _write_pickles(folder: Path, layers: tuple[NDArray[np.float32], ...]) -> None:
    folder.mkdir()
    for index, both in enumerate(zip(*layers, strict=True)):
        with (folder / f"{index}.pkl").open("wb") as file:
            pickle.dump(both, file, protocol=pickle.HIGHEST_PROTOCOL)


def _use(batches: Iterable[Any]) -> None:
    """Read all batches, which must be float32 tensors, as a fit needs them."""
    for x, y in batches:
        assert isinstance(x, Tensor)
        assert x.dtype == y.dtype == torch.float32


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main(rows, images=1536, channels=256, side=14, epochs=10, repeats=3)
