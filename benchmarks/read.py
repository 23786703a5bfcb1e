"""Row 2: an epoch in shuffled blocks against ``np.memmap`` of the same bytes in order."""

from argparse import Namespace
from pathlib import Path

import numpy as np
import xxhash

from benchmarks.compare import Row, Target, interleave, main
from benchmarks.made import SHARD_ROWS, features, scratch
from kc.store import StoredArray, open_store

PIECE = 1 << 19
"""Bytes read and hashed at a time, so that they are still in the cache."""


def rows(sizes: Namespace) -> list[Row]:
    shape = (sizes.channels, sizes.side, sizes.side)
    with scratch() as folder:
        path = folder / "a.zarr"
        array = features(path, sizes.images, shape)["feature"]
        plain = folder / "plain.bin"
        _write_plain(plain, array)
        blocks = np.random.default_rng(0).permutation(array.shards)

        def stored() -> None:
            opened = open_store(path)["feature"]  # each epoch checks every digest again
            for block in blocks:
                _ = opened[block * SHARD_ROWS : (block + 1) * SHARD_ROWS]

        def opened_before() -> None:
            for block in blocks:
                _ = array[block * SHARD_ROWS : (block + 1) * SHARD_ROWS]

        def memmap() -> None:
            mapped = np.memmap(plain, np.float16, "r", shape=array.shape)
            for block in range(array.shards):
                _ = np.array(mapped[block * SHARD_ROWS : (block + 1) * SHARD_ROWS])

        files = sorted(path.glob("feature/c/*/0/0/0"), key=lambda file: int(file.parts[-4]))

        def bare(hashed: bool) -> None:
            for block in blocks:
                into = memoryview(np.empty(files[block].stat().st_size, np.uint8))
                digest = xxhash.xxh3_128()
                with files[block].open("rb", buffering=0) as file:
                    for start in range(0, len(into), PIECE):
                        file.readinto(into[start : start + PIECE])
                        if hashed:
                            digest.update(into[start : start + PIECE])

        sides = {
            "store": stored,
            "store again": opened_before,
            "memmap": memmap,
            "files": lambda: bare(hashed=False),
            "files, hashed": lambda: bare(hashed=True),
        }
        times = interleave(sides, sizes.repeats)
        size = plain.stat().st_size
    details = {
        "bytes": size,
        "cache": "warm: the files are in the operating system's page cache; kc has no cache",
        "gb_per_second": {name: rate / 1e9 for name, rate in times.rates(size).items()},
    }
    what = "an epoch in shuffled blocks"
    first, later = f"{what}, digests checked", f"{what} of a store opened before"
    order = "np.memmap of the same bytes in order"
    least = Target(at_least=0.85)
    return [
        Row("2 read, first epoch", first, order, least, times.ratio("memmap", "store"), details),
        Row("2 read, later epochs", later, order, least, times.ratio("memmap", "store again")),
        Row(
            "2 read, first epoch, bound",
            first,
            "the same files read and hashed (xxh3-128), nothing else",
            Target(),
            times.ratio("files, hashed", "store"),
        ),
        Row(
            "2 read, later epochs, bound",
            later,
            "the same files read, nothing else",
            Target(),
            times.ratio("files", "store again"),
        ),
    ]


def _write_plain(path: Path, array: StoredArray) -> None:
    with path.open("wb") as file:
        for start in range(0, len(array), SHARD_ROWS):
            file.write(array[start : start + SHARD_ROWS].tobytes())


if __name__ == "__main__":
    main(rows, images=16384, channels=256, side=14, repeats=9)
