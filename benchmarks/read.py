"""Row 2: an epoch in shuffled blocks against ``np.memmap`` of the same bytes in order."""

from argparse import Namespace
from pathlib import Path

import numpy as np

from benchmarks.compare import Row, Target, interleave, main
from benchmarks.made import SHARD_ROWS, features, scratch
from kc.store import StoredArray, open_store


def rows(sizes: Namespace) -> list[Row]:
    shape = (sizes.channels, sizes.side, sizes.side)
    with scratch() as folder:
        path = folder / "a.zarr"
        array = features(path, sizes.images, shape)["feature"]
        plain = folder / "plain.bin"
        _write_plain(plain, array)
        blocks = np.random.default_rng(0).permutation(array.shards)

        def stored() -> None:
            opened = open_store(path)["feature"]  # each epoch checks every digest anew
            for block in blocks:
                _ = opened[block * SHARD_ROWS : (block + 1) * SHARD_ROWS]

        def opened_before() -> None:
            for block in blocks:
                _ = array[block * SHARD_ROWS : (block + 1) * SHARD_ROWS]

        def memmap() -> None:
            mapped = np.memmap(plain, np.float16, "r", shape=array.shape)
            for block in range(array.shards):
                _ = np.array(mapped[block * SHARD_ROWS : (block + 1) * SHARD_ROWS])

        sides = {"store": stored, "store again": opened_before, "memmap": memmap}
        times = interleave(sides, sizes.repeats)
        size = plain.stat().st_size
    details = {
        "bytes": size,
        "cache": "warm: the files are in the operating system's page cache, kc keeps none",
        "gb_per_second": {name: rate / 1e9 for name, rate in times.rates(size).items()},
    }
    against = "np.memmap of the same bytes in order"
    first = Row(
        "2 read, first epoch",
        "an epoch in shuffled blocks, digests checked",
        against,
        Target(at_least=0.85),
        times.ratio("memmap", "store"),
        details,
    )
    again = Row(
        "2 read, later epochs",
        "an epoch in shuffled blocks of a store opened before",
        against,
        Target(at_least=0.85),
        times.ratio("memmap", "store again"),
    )
    return [first, again]


def _write_plain(path: Path, array: StoredArray) -> None:
    with path.open("wb") as file:
        for start in range(0, len(array), SHARD_ROWS):
            file.write(array[start : start + SHARD_ROWS].tobytes())


if __name__ == "__main__":
    main(rows, images=8192, channels=256, side=14, repeats=5)
