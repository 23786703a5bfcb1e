"""Every way to read a product, and the files that each way uses."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kc.concepts.networks import load_at, read_history
from kc.consistency.saved import load_fit
from kc.networks import load_network
from kc.store import StoredArray, open_store
from kc.store.product import read_card
from tests.faults.world import DRAWN


class Reader(NamedTuple):
    """One way to read a product."""

    read: Callable[[], Any]
    files: set[Path]
    """Files it uses: it must find a damage of any of them."""


def store_readers(path: Path, names: Sequence[str]) -> dict[str, Reader]:
    """Return the readers of some arrays of a store (``NAME.zarr``), by name."""
    store = open_store(path)
    described = {path.with_suffix(".json")}
    for name in store.manifest["coordinates"]:
        described |= {path / name / "zarr.json", path / name / "c" / "0"}
    found = {"rows": Reader(lambda: open_store(path).rows.to_csv(), described)}
    for name in names:
        needed = described | {path / name / "zarr.json"}
        for way, (read, shards) in _ways(path, store[name]).items():
            files = [shard_file(path, store[name], shard) for shard in shards]
            found[f"{name}: {way}"] = Reader(read, needed | set(files))
    return found


def shard_file(path: Path, array: StoredArray, shard: int) -> Path:
    """Return the file of a shard."""
    index = ["0"] * array.ndim
    index[array.dims.index("image")] = str(shard)
    return path.joinpath(array.name, "c", *index)


def _ways(path: Path, about: StoredArray) -> dict[str, tuple[Callable[[], Any], set[int]]]:
    """Return the ways to read an array, by name, with the shards each reads."""
    size, count, axis = about.shard_rows, len(about), about.dims.index("image")
    every = set(range(about.shards))
    scattered = np.unique(np.linspace(0, count - 1, 5).astype(int))

    def array() -> StoredArray:
        return open_store(path)[about.name]

    def blocks() -> np.ndarray:
        one = array()
        step = max(1, size - 1)  # so that blocks cross the borders of shards
        parts = [one.read(slice(start, start + step)) for start in range(0, count, step)]
        return np.concatenate(parts, axis=axis)

    def lazy(rows: slice) -> np.ndarray:
        return np.asarray(array().to_xarray().isel(image=rows).compute(scheduler="sync"))

    return {
        "array": (lambda: array()[:], every),
        "blocks": (blocks, every),
        "last row": (lambda: array()[count - 1], {about.shards - 1}),
        "first row": (lambda: array()[:1], {0}),
        "index": (lambda: array()[scattered], {int(row) // size for row in scattered}),
        "backwards": (lambda: array()[::-1], every),
        "to_xarray": (lambda: lazy(slice(None)), every),
        "to_xarray, rows": (lambda: lazy(slice(0, 1)), {0}),
    }


def folder_readers(path: Path) -> dict[str, Reader]:
    """Return the readers of a folder with a card (weights, fits), by name."""
    card = {path / "card.json"}
    found = {"card": Reader(lambda: read_card(path, files=()), card)}
    if path.parent.name == "fits":
        files = {path / "g.safetensors", path / "history.csv"}
        found["fit"] = Reader(lambda: _of_fit(path), card | files)
    elif path.parent.parent.name == "concepts":
        files = {path / "history.csv", *path.glob("*.safetensors")}
        folder = path.parent
        found["checkpoint"] = Reader(lambda: _weights(load_at(DRAWN, folder, 1)), card | files)
        found["history"] = Reader(lambda: read_history(DRAWN, folder).to_csv(), card | files)
    else:
        weights = {path / "weights.safetensors"}
        found["network"] = Reader(lambda: _weights(load_network(path)), card | weights)
    return found


def _of_fit(path: Path) -> dict[str, Any]:
    found = load_fit(path)
    return _weights(found.net) | {"history": found.history.to_csv(), "rows": found.train}


def _weights(model: Any) -> dict[str, Any]:
    return {name: value.numpy() for name, value in model.state_dict().items()}


def same(found: Any, expected: Any) -> bool:
    """Return whether two readings are equal, bit for bit."""
    if isinstance(expected, dict):
        return set(found) == set(expected) and all(same(found[n], expected[n]) for n in expected)
    if isinstance(expected, np.ndarray):
        return found.dtype == expected.dtype and np.array_equal(found, expected)
    return bool(found == expected)
