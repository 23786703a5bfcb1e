"""Open and read a store; every shard is checked against the manifest before it is used."""

import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import zarr

from kc.errors import StoreError
from kc.plans.commands import fix_at
from kc.store.bookkeeping import bookkeeping_damages, spell_rows
from kc.store.manifest import read_manifest
from kc.store.network import followed
from kc.store.place import Folder, locate
from kc.store.plain_shard import PlainShards, plain_shards
from kc.store.spec import ArraySpec, from_disk


class Store:
    """A finished store: its arrays by name, its rows as a table."""

    def __init__(self, path: Path | str, network: bool = False, opened: bool = True) -> None:
        self.opened, (self.place, self.name) = path, locate(path)
        self.manifest = read_manifest(self.place, self.name)
        if "location" in self.manifest:
            beside = self.place.where(f"{self.name}.json")
            self.place, self.name = locate(followed(self.manifest["location"], beside, network))
        self.path = self.place.where(f"{self.name}.zarr")
        self.digest: str = self.manifest["digest"]
        self.attributes: dict[str, Any] = self.manifest["attributes"]
        self.passed_over: dict[str, int] = self.manifest.get("passed_over", {})
        self.names: list[str] = sorted(self.manifest["arrays"])
        # a store that cannot be opened can still be checked
        self.rows = self._coordinates() if opened else pd.DataFrame()

    @property
    def mend(self) -> str:
        """The command that makes the store again, for messages."""
        return fix_at(self.opened, self.manifest["mend"])

    @property
    def image_ids(self) -> np.ndarray:
        """Ids of the images in row order."""
        return self.rows["image_id"].to_numpy(dtype=object)

    def __getitem__(self, name: str) -> "StoredArray":
        if name not in self.names:
            raise StoreError(f"{self.path}: no array '{name}'; there are {self.names}")
        return StoredArray(self, name)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def verify(self) -> list[str]:
        """Check every shard and description; return one line per damage."""
        damages = [*filter(None, map(self._description_damage, self.manifest["metadata"]))]
        damages += self._coordinate_damages()
        for name in self.names:
            array = StoredArray(self, name, opened=False)
            for shard in range(array.shards):
                damage = array.damage(shard)
                if damage:
                    damages.append(damage)
        return damages + bookkeeping_damages(self.place, self.name, self.manifest)

    def check_metadata(self, folder: str) -> None:
        """Raise an error if an array's description (its ``zarr.json``) was changed."""
        if damage := self._description_damage(f"{folder}/zarr.json"):
            raise StoreError(damage)

    def file(self, name: str) -> str:
        """Return the name of an array's file in the store's place."""
        return f"{self.name}.zarr/{name}"

    def open_array(self, name: str) -> zarr.Array[Any]:
        """Open an array with zarr, which checks nothing."""
        return zarr.open_array(self.place.zarr(), path=self.file(name), mode="r")

    def _description_damage(self, name: str) -> str:
        file = self.file(name)
        if self.place.digest(file) == self.manifest["metadata"][name]:
            return ""
        return f"{self.place.where(file)}: the description is missing or damaged. Fix: {self.mend}"

    def _coordinate_damages(self) -> Iterator[str]:
        for name, digest in self.manifest["coordinates"].items():
            file = self.file(f"{name}/c/0")
            if self.place.digest(file) != digest:
                yield (
                    f"{self.place.where(file)}: the coordinate '{name}' is missing or damaged. "
                    f"Fix: {self.mend}"
                )

    def _coordinates(self) -> pd.DataFrame:
        columns = {}
        for name in self.manifest["coordinates"]:
            self.check_metadata(name)
        for damage in self._coordinate_damages():
            raise StoreError(damage)
        for name in self.manifest["coordinates"]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                values = self.open_array(name)[:]
            array = np.asarray(values)
            columns[name] = array.astype(object) if array.dtype.kind == "U" else array
        return pd.DataFrame(columns)


class StoredArray:
    """One array of a store; slices and index arrays act on the image dimension."""

    def __init__(self, store: Store, name: str, opened: bool = True) -> None:
        described = store.manifest["arrays"][name]
        self.store = store
        self.name = name
        self.dims: tuple[str, ...] = tuple(described["dims"])
        self.shape: tuple[int, ...] = tuple(described["shape"])
        self.kc_dtype: str = described["dtype"]
        self.dtype = np.dtype("float32" if self.kc_dtype == "bfloat16" else self.kc_dtype)
        self.shard_rows: int = store.manifest["shard_rows"]
        self._spec = ArraySpec(name, self.dims, self.shape, self.kc_dtype)
        self._digests = [shard["digest"] for shard in described["shards"]]
        self._statistics: dict[str, Any] = described.get("statistics", {})
        self._checked: set[int] = set()
        self._guard = threading.Lock()
        if opened:
            store.check_metadata(name)
            with zarr.config.set({"array.read_missing_chunks": False}):
                self._array = store.open_array(name)
            direct = isinstance(store.place, Folder) and self._spec.row_axis == 0
            self._plain = plain_shards(self._array, 0) if direct else None

    def __len__(self) -> int:
        return self.shape[self._spec.row_axis]

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def shards(self) -> int:
        """Number of shards."""
        return len(self._digests)

    @property
    def image_ids(self) -> np.ndarray:
        """Ids of the images in row order."""
        return self.store.image_ids

    @property
    def rows(self) -> pd.DataFrame:
        """Coordinates of the images."""
        return self.store.rows

    @property
    def mean(self) -> float | None:
        """Mean over images and units; None without statistics."""
        return self._statistics.get("mean")

    @property
    def std(self) -> float | None:
        """Standard deviation over images and units; None without statistics."""
        return self._statistics.get("std")

    def __reduce__(self) -> tuple[Any, ...]:
        # by path: a dask worker opens the store itself, and it must be the same one
        return _reopen, (self.store.path, self.store.digest, self.name)

    def __getitem__(self, index: int | slice | np.ndarray) -> np.ndarray:
        if isinstance(index, (int, np.integer)):
            row = int(self._numbers(np.asarray([index]))[0])
            one = self.read(slice(row, row + 1))
            return np.asarray(one.take(0, axis=self._spec.row_axis))
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step < 0:
                return self._gather(np.arange(start, stop, step))
            whole = self.read(slice(start, max(start, stop)))
            return np.asarray(whole[self._spec.at(slice(None, None, step))])
        return self._gather(self._numbers(np.asarray(index)))

    def _numbers(self, index: np.ndarray) -> np.ndarray:
        """Turn a mask or indices (also negative ones) into row numbers."""
        if index.dtype == bool and index.shape == (len(self),):
            return np.flatnonzero(index)
        rows = index.astype(np.int64)
        if index.dtype == bool or ((rows < -len(self)) | (rows >= len(self))).any():
            raise IndexError(
                f"{self.store.path}: '{self.name}' has {len(self)} rows; got a mask of shape "
                f"{index.shape}, or a row out of range"
            )
        return rows % len(self)

    def read(self, rows: slice, out: np.ndarray | None = None) -> np.ndarray:
        """Read contiguous image rows, into ``out`` if given, and check their shards."""
        start, stop, _ = rows.indices(len(self))
        # bfloat16 has another type on disk than in memory
        direct = out is not None and out.dtype == self._spec.disk_dtype and out.flags.c_contiguous
        try:
            values = self._whole_shards(start, stop, out if direct else None)
            if values is None:
                for shard in range(start // self.shard_rows, -(-stop // self.shard_rows)):
                    self._check(shard)
                values = np.asarray(self._array[self._spec.at(slice(start, stop))])
        except (ValueError, RuntimeError, OSError, KeyError) as error:
            raise StoreError(
                f"{self.store.path}: '{self.name}' rows {start} to {stop - 1} cannot be read "
                f"({error}). Fix: {self.store.mend}"
            ) from error
        found = from_disk(values, self.kc_dtype)
        if out is None or found is out:
            return found
        out[:] = found
        return out

    def _whole_shards(self, start: int, stop: int, out: np.ndarray | None) -> np.ndarray | None:
        """Read rows that are complete shards; None if they are not, or of another layout."""
        ends = stop == len(self) or stop % self.shard_rows == 0
        if self._plain is None or start % self.shard_rows or not ends or stop <= start:
            return None
        shape = (stop - start, *self.shape[1:])
        values = np.empty(shape, self._spec.disk_dtype) if out is None else out
        for begin in range(start, stop, self.shard_rows):
            part = values[begin - start : begin - start + self.shard_rows]
            self._read_shard(self._plain, begin // self.shard_rows, part)
        return values

    def _read_shard(self, layout: PlainShards, shard: int, out: np.ndarray) -> None:
        """Fill ``out`` with a shard, and check it at its first reading."""
        known = shard in self._checked
        file = Path(self.store.place.where(self.store.file(self._spec.file_name(shard))))
        try:
            digest = layout.read(file, out, hashed=not known)
        except (OSError, ValueError):
            self._check(shard)  # gives a better message if it is damaged
            raise
        if not known and digest != self._digests[shard]:
            raise StoreError(self._damaged(shard))
        self._checked.add(shard)

    def damage(self, shard: int) -> str:
        """Describe the damage of a shard; empty if there is none."""
        digest = self.store.place.digest(self.store.file(self._spec.file_name(shard)))
        if not digest:
            return f"{self._where(shard)} is missing. Fix: {self.store.mend}"
        return "" if digest == self._digests[shard] else self._damaged(shard)

    def _damaged(self, shard: int) -> str:
        return f"{self._where(shard)} is damaged or not the one written. Fix: {self.store.mend}"

    def _where(self, shard: int) -> str:
        path = self.store.place.where(self.store.file(self._spec.file_name(shard)))
        rows = spell_rows(self.store.manifest, shard)
        return f"{path}: shard {shard} of '{self.name}' ({rows})"

    def to_xarray(self, shards_per_chunk: int = 1) -> xr.DataArray:
        """Return a dask-backed array with image coordinates, chunked by complete shards."""
        import dask.array as da

        axis = self._spec.row_axis
        chunks = list(self.shape)
        chunks[axis] = self.shard_rows * shards_per_chunk
        data = da.from_array(  # type: ignore[no-untyped-call]
            _Indexed(self), chunks=tuple(chunks), asarray=True, fancy=False
        )
        coordinates = {name: ("image", self.rows[name].to_numpy()) for name in self.rows}
        return xr.DataArray(data, dims=self.dims, coords=coordinates, name=self.name)

    def _gather(self, rows: np.ndarray) -> np.ndarray:
        axis = self._spec.row_axis
        shape = list(self.shape)
        shape[axis] = len(rows)
        out = np.empty(shape, self.dtype)
        for shard in np.unique(rows // self.shard_rows):
            start = int(shard) * self.shard_rows
            block = self.read(slice(start, start + self.shard_rows))
            here = np.flatnonzero(rows // self.shard_rows == shard)
            out[self._spec.at(here)] = np.take(block, rows[here] - start, axis=axis)
        return out

    def _check(self, shard: int) -> None:
        with self._guard:
            if shard in self._checked:
                return
            damage = self.damage(shard)
            if damage:
                raise StoreError(damage)
            self._checked.add(shard)


class _Indexed:
    """Let dask index a stored array in all dimensions; blocks are checked when read."""

    def __init__(self, array: StoredArray) -> None:
        self.array = array
        self.shape, self.ndim, self.dtype = array.shape, array.ndim, array.dtype

    def __getitem__(self, index: tuple[int | slice, ...]) -> np.ndarray:
        axis = self.array.dims.index("image")
        kept = (slice(None),) if isinstance(index[axis], slice) else ()
        return np.asarray(self.array[index[axis]][(*index[:axis], *kept, *index[axis + 1 :])])


def _reopen(path: str, digest: str, name: str) -> StoredArray:
    store = open_store(path)
    if store.digest != digest:
        raise StoreError(
            f"{path}: the store was made again since it was opened (digest {digest}, now "
            f"{store.digest}). Fix: open it again"
        )
    return store[name]


def store_damages(path: Path | str) -> list[str]:
    """Check a store, also one that cannot be opened; return one line per damage."""
    try:
        return Store(path, opened=False).verify()
    except StoreError as error:
        return [str(error)]


def open_store(path: Path | str, network: bool = False) -> Store:
    """Open a finished store by its folder (``.zarr``) or its manifest (``.json``).

    Parameters
    ----------
    path
        Path of either, in a folder or a bucket (``s3://bucket/prefix/NAME.zarr``).
    network
        Let a manifest in a folder refer to arrays in any bucket. Jobs of the workflow accept
        places below ``storage.root`` without it.

    Raises
    ------
    StoreError
        The store is missing or unfinished (no manifest), or its manifest was edited or refers
        to a bucket.
    """
    return Store(path, network)


def check_same_images(a: Any, b: Any) -> None:
    """Refuse two stores (or arrays of stores) whose rows are not the same images.

    Raises
    ------
    StoreError
        Names the first row that differs and both ids.
    """
    first, second = a.image_ids, b.image_ids
    names = " and ".join(str(getattr(s, "store", s).path) for s in (a, b))
    fix = getattr(a, "store", a).mend
    if len(first) != len(second):
        raise StoreError(f"{names}: {len(first)} and {len(second)} images. Fix: {fix}")
    different = np.flatnonzero(first != second)
    if len(different):
        row = int(different[0])
        raise StoreError(
            f"{names}: list different images (first difference at row {row}: {first[row]} / "
            f"{second[row]}); both must come from the same image store. Fix: {fix}"
        )
