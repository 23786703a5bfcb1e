"""Write a store shard by shard so that a kill at any moment costs one shard and no truth.

Order on disk: key, then array metadata and coordinates, then for each shard its files and, once
they are whole, a receipt with their digests; the manifest last. A shard without a valid receipt
does not exist. Another key means start empty.
"""

import errno
import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
import zarr
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ZstdCodec

from kc.errors import FeatureError, StoreError
from kc.store.files import spell_json
from kc.store.owners import own, refuse_others, through_the_door
from kc.store.part import WHOLE, Part
from kc.store.place import locate, read_json_at
from kc.store.spec import ArraySpec, check_spec, from_disk, to_disk
from kc.store.statistics import merge_statistics, shard_statistics

FORMAT = 2
"""Of the manifest; readers refuse another one."""
CHUNK_ROWS = 16  # inner chunk: what a reader of scattered rows has to take at least


class StoreWriter:
    """Writer of one store, or of a part of it; use as a context manager, which holds the lock.

    Several processes may write one store, each a part of its own; one that owns the whole of it
    then finds their shards and writes the manifest. Which of them wrote a shard leaves no trace.

    Parameters
    ----------
    path
        ``NAME.zarr``; the manifest will be ``NAME.json``.
    key
        Hash of inputs, settings and code. Shards found under an equal key are checked and
        kept, anything else is removed.
    arrays
        What to store; see :class:`ArraySpec`.
    coordinates
        One row an image, in row order; ``image_id`` must be unique.
    mend
        Command that makes the store anew, quoted in errors.
    part
        The shards this writer owns; only the owner of all can finish the store.
    """

    def __init__(
        self,
        path: Path,
        key: str,
        arrays: Sequence[ArraySpec],
        coordinates: pd.DataFrame,
        shard_rows: int,
        compressor: str = "none",
        attributes: Mapping[str, Any] | None = None,
        mend: str = "",
        part: Part = WHOLE,
    ) -> None:
        self.path = Path(path)
        self.place, self.name = locate(path)
        self.key = key
        self.arrays = {spec.name: spec for spec in arrays}
        self.coordinates = coordinates.reset_index(drop=True)
        self.shard_rows = shard_rows
        self.compressor = compressor
        self.attributes = dict(attributes or {})
        self.mend = mend or f"rm -r {path} and run the workflow again"
        self._check()
        self.owned = part.shards(self.shards)

    @property
    def shards(self) -> int:
        """Number of shards of each array."""
        return -(-len(self.coordinates) // self.shard_rows)

    def __enter__(self) -> "StoreWriter":
        state = f"{self.name}.state"
        with self._disk(), through_the_door(self.place, state):
            goes_on = self._is_begun()
            refuse_others(self.place, state, self.owned if goes_on else None)
            self.place.delete(f"{self.name}.json")
            if not goes_on:
                self._begin()
            self._lock = own(self.place, state, self.owned)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.close()

    def rows(self, shard: int) -> slice:
        """Image rows of a shard."""
        start = shard * self.shard_rows
        return slice(start, min(start + self.shard_rows, len(self.coordinates)))

    def missing(self) -> list[int]:
        """List the shards owned and still to write; those found are checked by digest."""
        return [shard for shard in self.owned if not self._is_whole(shard)]

    def write(self, shard: int, values: Mapping[str, np.ndarray]) -> None:
        """Write one whole shard of every array, then its receipt."""
        assert shard in self.owned
        if set(values) != set(self.arrays):
            raise StoreError(
                f"{self.path}: shard {shard} got arrays {sorted(values)}, "
                f"expected {sorted(self.arrays)}"
            )
        rows = self.rows(shard)
        receipt: dict[str, Any] = {}
        with self._disk():
            self.place.delete(self._receipt(shard))
            for name, spec in self.arrays.items():
                receipt[name] = self._write_array(spec, shard, rows, values[name])
            self.place.write(self._receipt(shard), spell_json(receipt))

    def digests(self) -> dict[str, dict[str, str]]:
        """Give the digest of each array's file, by shard, of the shards owned."""
        receipts = {n: read_json_at(self.place, self._receipt(n)) for n in self.owned}
        return {
            str(shard): {name: receipt[name]["digest"] for name in sorted(receipt)}
            for shard, receipt in receipts.items()
        }

    def finish(self) -> dict[str, Any]:
        """Write the manifest, last, and give it."""
        assert len(self.owned) == self.shards
        missing = self.missing()
        if missing:
            raise StoreError(
                f"{self.path}: shards {missing} of {self.shards} are not written; "
                f"cannot finish. Cure: {self.mend}"
            )
        receipts = [read_json_at(self.place, self._receipt(shard)) for shard in range(self.shards)]
        content = {
            "arrays": {n: self._describe(s, receipts) for n, s in self.arrays.items()},
            "attributes": self.attributes,
            "coordinates": {
                str(name): self.place.digest(self._file(f"{name}/c/0")) for name in self.coordinates
            },
            "rows": len(self.coordinates),
            "shard_rows": self.shard_rows,
        }
        manifest = content | {
            "format": FORMAT,
            "digest": content_digest(content),
            "key": self.key,
            "mend": self.mend,
            "metadata": {name: self.place.digest(self._file(name)) for name in self._metadata()},
        }
        manifest["manifest_digest"] = content_digest(manifest)
        with self._disk():
            self.place.write(f"{self.name}.json", spell_json(manifest))
        return manifest

    def _check(self) -> None:
        for spec in self.arrays.values():
            check_spec(spec)
            if spec.shape[spec.row_axis] != len(self.coordinates):
                raise StoreError(
                    f"{self.path}: '{spec.name}' has {spec.shape[spec.row_axis]} images, the "
                    f"coordinates {len(self.coordinates)}"
                )
        ids = self.coordinates["image_id"]
        if ids.duplicated().any():
            twice = ids[ids.duplicated()].iloc[0]
            raise StoreError(f"{self.path}: image_id '{twice}' stands twice; ids must be unique")

    def _is_begun(self) -> bool:
        """Whether a store lies there under an equal key, its metadata and coordinates whole."""
        key_file, ready = self._own("key.json"), self._own("ready")
        found = read_json_at(self.place, key_file).get("key") if self.place.has(key_file) else None
        return bool(
            found == self.key and self.place.has(ready) and self.place.has(self._file("zarr.json"))
        )

    def _begin(self) -> None:
        """Start empty: what another key left there is removed."""
        key_file, ready = self._own("key.json"), self._own("ready")
        # the marker goes first: a kill from here on finds a store that is not ready
        for old in (ready, f"{self.name}.zarr", self._own("receipts")):
            self.place.delete(old)
        self.place.write(key_file, spell_json({"key": self.key}))
        group = zarr.open_group(
            self.place.zarr(), path=f"{self.name}.zarr", mode="a", zarr_format=3
        )
        group.attrs.update(self.attributes)
        for spec in self.arrays.values():
            self._create(group, spec)
        for name in self.coordinates:
            _write_coordinate(group, str(name), self.coordinates[name])
        self.place.write(ready, b"metadata and coordinates are whole\n")

    def _metadata(self) -> list[str]:
        names = [*self.arrays, *map(str, self.coordinates)]
        return ["zarr.json", *(f"{name}/zarr.json" for name in names)]

    def _create(self, group: zarr.Group, spec: ArraySpec) -> None:
        shard = list(spec.shape)
        shard[spec.row_axis] = self.shard_rows
        chunk = list(shard)
        chunk[spec.row_axis] = _chunk_rows(self.shard_rows)
        compressors: list[Any] = [Crc32cCodec()]
        if self.compressor == "lz4":
            compressors.insert(0, BloscCodec(cname="lz4", clevel=5))
        elif self.compressor == "zstd":
            compressors.insert(0, ZstdCodec(level=3))
        group.create_array(
            spec.name,
            shape=spec.shape,
            shards=tuple(shard),
            chunks=tuple(chunk),
            dtype=spec.disk_dtype,
            serializer=BytesCodec(),
            compressors=compressors,
            dimension_names=spec.dims,
            attributes={"kc_dtype": spec.dtype},
            config={"write_empty_chunks": True},
        )

    def _write_array(
        self, spec: ArraySpec, shard: int, rows: slice, values: np.ndarray
    ) -> dict[str, Any]:
        expected = list(spec.shape)
        expected[spec.row_axis] = rows.stop - rows.start
        if list(values.shape) != expected:
            raise StoreError(
                f"{self.path}: '{spec.name}' shard {shard} has shape {tuple(values.shape)}, "
                f"expected {tuple(expected)}"
            )
        stored = self._cast(spec, rows, values)
        array = zarr.open_array(
            self.place.zarr(),
            path=self._file(spec.name),
            mode="r+",
            config={"write_empty_chunks": True},
        )
        array[(*([slice(None)] * spec.row_axis), rows)] = stored
        file = self._file(spec.file_name(shard))
        receipt: dict[str, Any] = {
            "bytes": self.place.size(file),
            "digest": self.place.digest(file),
        }
        if spec.statistics:
            receipt["statistics"] = shard_statistics(from_disk(stored, spec.dtype), spec)
        return receipt

    def _cast(self, spec: ArraySpec, rows: slice, values: np.ndarray) -> np.ndarray:
        if spec.disk_dtype.kind != "f" and spec.dtype != "bfloat16":
            return to_disk(values, spec)
        self._refuse(spec, rows, ~np.isfinite(values), "is not finite (NaN or inf)", "the network")
        with np.errstate(over="ignore"):
            stored = to_disk(values, spec)
        self._refuse(
            spec,
            rows,
            ~np.isfinite(from_disk(stored, spec.dtype)),
            f"overflows {spec.dtype}",
            "activations.dtype: set it to float32",
        )
        return stored

    def _refuse(self, spec: ArraySpec, rows: slice, bad: np.ndarray, what: str, cure: str) -> None:
        if bad.any():
            row = rows.start + int(np.argwhere(bad)[0][spec.row_axis])
            raise FeatureError(
                f"{self.path}: '{spec.name}' of image {self.coordinates['image_id'][row]} "
                f"(row {row}) {what}. Cure: look at {cure}."
            )

    def _is_whole(self, shard: int) -> bool:
        name = self._receipt(shard)
        if not self.place.has(name):
            return False
        try:
            receipt = read_json_at(self.place, name)
        except StoreError:
            return False
        return set(receipt) == set(self.arrays) and all(
            self.place.digest(self._file(spec.file_name(shard))) == receipt[name]["digest"]
            for name, spec in self.arrays.items()
        )

    def _describe(self, spec: ArraySpec, receipts: list[dict[str, Any]]) -> dict[str, Any]:
        described: dict[str, Any] = {
            "dims": list(spec.dims),
            "shape": list(spec.shape),
            "dtype": spec.dtype,
            "shards": [
                {"bytes": r[spec.name]["bytes"], "digest": r[spec.name]["digest"]} for r in receipts
            ],
        }
        if spec.statistics:
            described["statistics"] = merge_statistics(r[spec.name]["statistics"] for r in receipts)
        return described

    def _file(self, name: str) -> str:
        """Name a file of the arrays in the store's place."""
        return f"{self.name}.zarr/{name}"

    def _own(self, name: str) -> str:
        """Name a file of the writer's own in the store's place."""
        return f"{self.name}.state/{name}"

    def _receipt(self, shard: int) -> str:
        return self._own(f"receipts/{shard:06d}.json")

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise StoreError(
                f"{self.path}: no space left on the disk. What is written is whole; "
                "cure: make room and run the same command again, it goes on from there."
            ) from error


def content_digest(content: Mapping[str, Any]) -> str:
    """Hash what a store is, so that equal content has an equal digest."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _chunk_rows(shard_rows: int) -> int:
    """Inner chunks must divide the shard."""
    return max(rows for rows in range(1, min(CHUNK_ROWS, shard_rows) + 1) if shard_rows % rows == 0)


def _write_coordinate(group: zarr.Group, name: str, values: pd.Series) -> None:
    numbers = values.to_numpy()
    data = numbers if numbers.dtype.kind in "iufb" else values.astype(str).to_numpy(dtype="U")
    with warnings.catch_warnings():
        # zarr warns that fixed-length strings are not in the v3 text yet; xarray reads them
        warnings.simplefilter("ignore")
        array = group.create_array(
            name,
            shape=data.shape,
            chunks=data.shape,
            dtype=data.dtype,
            compressors=[Crc32cCodec()],
            dimension_names=("image",),
            config={"write_empty_chunks": True},
        )
        array[:] = data
