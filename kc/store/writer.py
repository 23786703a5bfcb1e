"""Write a store shard by shard, so that an interruption loses at most one shard.

Order on disk: key, then array metadata and coordinates, then for each shard its files and, when
they are complete, a receipt with their digests; the manifest last. A shard without a valid receipt
does not count. Under another key the store starts empty. Metadata and coordinates are small: they
are computed each time a store is opened for writing, so damaged ones are replaced.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import xxhash
import zarr

from kc.errors import FeatureError, StoreError
from kc.files.aside import writing
from kc.files.checksum import content_digest
from kc.files.flush import Flusher
from kc.names import folder_id
from kc.plans.commands import AGAIN
from kc.store.content import StoreContent
from kc.store.files import sign, spell_json
from kc.store.layout import chunk_rows, laid_out
from kc.store.manifest import FORMAT
from kc.store.network import trust
from kc.store.owners import own, refuse_others, through_the_door
from kc.store.ownership import (
    array_names,
    manifest_strangers,
    refuse_owned,
    refuse_strangers,
    store_strangers,
)
from kc.store.part import WHOLE, JobPart
from kc.store.place import Folder, locate, place_of, read_signed_at, signed_or_empty
from kc.store.plain_shard import PlainShards, plain_shards
from kc.store.register import note_made, noted_key
from kc.store.spec import ArraySpec, all_finite, from_disk, to_disk
from kc.store.statistics import ShardStatistics, merge_statistics


class StoreWriter:
    """Writer of one store, or of a part of it; a context manager that holds the lock.

    Several processes may each write a part of one store; a process that owns all shards then
    finds theirs and writes the manifest. The files do not depend on who wrote which shard.

    Parameters
    ----------
    path
        ``NAME.zarr``; the manifest will be ``NAME.json``.
    key
        Hash of inputs, settings and code. Existing shards of the same key are checked and kept,
        those of another key are removed.
    content
        What to store; see :class:`StoreContent`.
    mend
        Command that makes the store again (:func:`kc.plans.commands.remake`), for errors.
    part
        The shards this writer owns; only the owner of all can finish the store.
    root
        Folder or ``s3://bucket/prefix`` of the store. The folder of ``path`` then holds only a
        manifest that refers to it. A store there that was made from another folder is refused.

    On entering, files of another key are removed; if there are files that kc did not make, nothing
    is changed and an error is raised.
    """

    def __init__(
        self,
        path: Path,
        key: str,
        content: StoreContent,
        mend: str = "",
        part: JobPart = WHOLE,
        root: str = "",
    ) -> None:
        self.path = Path(path)
        self.beside, self.name = locate(path)
        self.place = place_of(root) if root else self.beside
        self.location = self.place.where(f"{self.name}.zarr") if root else ""
        if root:
            trust(root)
        self.owner = folder_id(self.path.parent) if root else ""
        self.key = key
        content.check(self.path)
        self.content = content._replace(coordinates=content.coordinates.reset_index(drop=True))
        self.arrays = {spec.name: spec for spec in content.arrays}
        self.mend = mend or AGAIN
        self.owned = part.shards(content.shards)

    def __enter__(self) -> "StoreWriter":
        state = f"{self.name}.state"
        # before the door, which creates a file
        self._refuse_strangers()
        with writing(self.path), through_the_door(self.place, state):
            self._refuse_owned()
            goes_on = signed_or_empty(self.place, self._own("key.json")).get("key") == self.key
            refuse_others(self.place, state, self.owned if goes_on else None)
            if not goes_on:
                # from here on kc recognises what a kill leaves, and it matches no key
                before = array_names(self.place, self.name)
                self._write_key("", None if before is None else {*before, *self._holds()})
            for place in (self.beside, self.place):
                place.delete(f"{self.name}.json")
            if not goes_on:
                self._begin()
            self._described = self._write_metadata()
            self._layouts = self._plain_layouts()
            self._lock = own(self.place, state, self.owned)
        self._flusher = Flusher()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._flusher.close()
        self._lock.close()
        if error is None:
            self._flusher.wait()

    def rows(self, shard: int) -> slice:
        """Return the image rows of a shard."""
        start = shard * self.content.shard_rows
        return slice(start, min(start + self.content.shard_rows, len(self.content.coordinates)))

    def missing(self) -> list[int]:
        """List the owned shards still to write; existing ones are checked by digest."""
        return [shard for shard in self.owned if not self._is_whole(shard)]

    def write(self, shard: int, values: Mapping[str, np.ndarray]) -> None:
        """Write one shard of every array, then its receipt."""
        assert shard in self.owned
        if set(values) != set(self.arrays):
            raise StoreError(
                f"{self.path}: shard {shard} got arrays {sorted(values)}, "
                f"expected {sorted(self.arrays)}"
            )
        rows = self.rows(shard)
        written: dict[str, Any] = {}
        with writing(self.path):
            self.place.delete(self._receipt(shard))
            for name, spec in self.arrays.items():
                written[name] = self._write_array(spec, shard, rows, values[name])
            receipt = sign({"shard": shard, "arrays": written})
            self.place.write(self._receipt(shard), spell_json(receipt))

    def digests(self) -> dict[str, dict[str, str]]:
        """Return the digest of each array's file, by owned shard."""
        receipts = {n: self._read_receipt(n) for n in self.owned}
        return {
            str(shard): {name: receipt[name]["digest"] for name in sorted(receipt)}
            for shard, receipt in receipts.items()
        }

    def finish(self) -> dict[str, Any]:
        """Write the manifest, last, and return it."""
        assert len(self.owned) == self.content.shards
        missing = self.missing()
        if missing:
            raise StoreError(
                f"{self.path}: shards {missing} of {self.content.shards} are not written; "
                f"cannot finish. Fix: {self.mend}"
            )
        if self.content.source is not None:
            self.content.source.check()
        self._flush()
        receipts = [self._read_receipt(shard) for shard in range(self.content.shards)]
        files = self._described
        content = {
            "arrays": {n: self._describe(s, receipts) for n, s in self.arrays.items()},
            "attributes": dict(self.content.attributes),
            "coordinates": {str(name): files[f"{name}/c/0"] for name in self.content.coordinates},
            "rows": len(self.content.coordinates),
            "shard_rows": self.content.shard_rows,
        }
        manifest = content | {
            "format": FORMAT,
            "digest": content_digest(content),
            "key": self.key,
            "mend": self.mend,
            "metadata": {n: found for n, found in files.items() if n.endswith("zarr.json")},
        }
        if self.content.source is not None:
            manifest["source"] = self.content.source.about()
        if self.content.passed_over:
            manifest["passed_over"] = dict(self.content.passed_over)
        note_made(self.path, {"key": self.key, "digest": manifest["digest"]})
        with writing(self.path):
            self.place.write(f"{self.name}.json", spell_json(sign(manifest)))
            if self.location:
                manifest["location"] = self.location
                self.beside.write(f"{self.name}.json", spell_json(sign(manifest)))
        return sign(manifest)

    def _flush(self) -> None:
        """Flush all files of the manifest to the disk, shards of earlier writers too."""
        if not isinstance(self.place, Folder):
            return
        shards = range(self.content.shards)
        names = [spec.file_name(shard) for spec in self.arrays.values() for shard in shards]
        files = [self.place.where(self._file(name)) for name in (*names, *self._described)]
        self._flusher.settle(map(Path, files), Path(self.place.where(f"{self.name}.zarr")))

    def _refuse_strangers(self) -> None:
        """Raise an error if kc did not make what is here, or made it for another folder."""
        noted = noted_key(self.path)
        is_other = noted not in ("", signed_or_empty(self.place, self._own("key.json")).get("key"))
        # next to the key of another store, the note alone tells whose the arrays are
        names = store_strangers(self.place, self.name, self._holds() if is_other else ())
        refuse_strangers(self.place.where(f"{self.name}.zarr"), names)
        if self.location:
            names = manifest_strangers(self.beside, self.name)
            refuse_strangers(self.beside.where(f"{self.name}.json"), names)
        self._refuse_owned()

    def _refuse_owned(self) -> None:
        refuse_owned(self.place, self.name, self.key, self.owner, self.beside)

    def _begin(self) -> None:
        """Start empty: remove what another key left."""
        # receipts first: without them no shard counts, whatever a kill leaves
        for old in (self._own("receipts"), f"{self.name}.zarr"):
            self.place.delete(old)
        self._write_key(self.key, self._holds())

    def _holds(self) -> set[str]:
        """Return the folders of the arrays and the coordinates."""
        return {str(name).partition("/")[0] for name in (*self.arrays, *self.content.coordinates)}

    def _write_key(self, key: str, holds: set[str] | None) -> None:
        """Write key, contents and, with a shared root, owner of the store."""
        about: dict[str, Any] = {"key": key} | ({"owner": self.owner} if self.owner else {})
        about |= {} if holds is None else {"holds": sorted(holds)}
        # not signed while the store is emptied, so that it matches no key
        self.place.write(self._own("key.json"), spell_json(sign(about) if key else about))

    def _write_metadata(self) -> dict[str, str]:
        """Write metadata and coordinates that are missing or wrong; return the digests of all."""
        digests = {}
        for name, content in laid_out(self.content).items():
            digests[name] = xxhash.xxh3_128_hexdigest(content)
            if self.place.digest(self._file(name)) != digests[name]:
                self.place.write(self._file(name), content)
        return digests

    def _plain_layouts(self) -> dict[str, PlainShards]:
        """Return the layouts of the arrays whose shards are written without zarr."""
        if not isinstance(self.place, Folder):
            return {}
        found = {n: plain_shards(self._open(s), s.row_axis) for n, s in self.arrays.items()}
        return {name: layout for name, layout in found.items() if layout is not None}

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
        file = self._file(spec.file_name(shard))
        self._sweep(file)
        statistics = ShardStatistics(spec) if spec.statistics else None
        blocks = self._blocks(spec, rows.start, values, statistics)
        layout = self._layouts.get(spec.name)
        if layout is not None:
            receipt = layout.write(Path(self.place.where(file)), blocks)
        else:
            self._open(spec)[spec.at(rows)] = np.concatenate(list(blocks), axis=spec.row_axis)
            receipt = {"bytes": self.place.size(file), "digest": self.place.digest(file)}
        if isinstance(self.place, Folder):
            self._flusher.later(Path(self.place.where(file)))
        return receipt | ({"statistics": statistics.spell()} if statistics else {})

    def _open(self, spec: ArraySpec) -> zarr.Array[Any]:
        return zarr.open_array(
            self.place.zarr(),
            path=self._file(spec.name),
            mode="r+",
            config={"write_empty_chunks": True},
        )

    def _blocks(
        self,
        spec: ArraySpec,
        first_row: int,
        values: np.ndarray,
        statistics: ShardStatistics | None,
    ) -> Iterator[np.ndarray]:
        """Convert one inner chunk after another to its type on disk, while it is in the cache."""
        size = chunk_rows(self.content.shard_rows)
        for start in range(0, values.shape[spec.row_axis], size):
            block = values[spec.at(slice(start, start + size))]
            with np.errstate(over="ignore", invalid="ignore"):
                stored = to_disk(block, spec)
                kept = from_disk(stored, spec.dtype)
                finite = statistics.add(kept) if statistics else all_finite(kept)
            if not finite:
                self._refuse_infinite(spec, first_row + start, block, kept)
            yield stored

    def _sweep(self, file: str) -> None:
        """Remove temporary files that a killed writer left for a shard."""
        folder, name = file.rsplit("/", 1)
        for left in self.place.names(folder):
            if left.startswith(f"{name}.") and left.endswith(".partial"):
                self.place.delete(f"{folder}/{left}")

    def _refuse_infinite(
        self, spec: ArraySpec, first_row: int, values: np.ndarray, kept: np.ndarray
    ) -> None:
        what, fix, bad = "is not finite (NaN or inf)", "the network", ~np.isfinite(values)
        if not bad.any():
            what, fix = f"overflows {spec.dtype}", "activations.dtype: set it to float32"
            bad = ~np.isfinite(kept)
        if not bad.any():
            return  # only the sum of their squares overflows
        row = first_row + int(np.argwhere(bad)[0][spec.row_axis])
        raise FeatureError(
            f"{self.path}: '{spec.name}' of image {self.content.coordinates['image_id'][row]} "
            f"(row {row}) {what}. Fix: look at {fix}."
        )

    def _is_whole(self, shard: int) -> bool:
        try:
            receipt = self._read_receipt(shard)
        except StoreError:
            return False
        return set(receipt) == set(self.arrays) and all(
            self.place.digest(self._file(spec.file_name(shard))) == receipt[name]["digest"]
            for name, spec in self.arrays.items()
        )

    def _read_receipt(self, shard: int) -> dict[str, Any]:
        """Return what a shard's receipt says of each array."""
        receipt = read_signed_at(self.place, self._receipt(shard), self.mend)
        if receipt["shard"] != shard:
            raise StoreError(
                f"{self.place.where(self._receipt(shard))}: the receipt of another shard, "
                f"{receipt['shard']}. Fix: {self.mend}"
            )
        arrays: dict[str, Any] = receipt["arrays"]
        return arrays

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
        """Return the name of an array's file in the store's place."""
        return f"{self.name}.zarr/{name}"

    def _own(self, name: str) -> str:
        """Return the name of a bookkeeping file in the store's place."""
        return f"{self.name}.state/{name}"

    def _receipt(self, shard: int) -> str:
        return self._own(f"receipts/{shard:06d}.json")
