"""The files of a store before its first shard: zarr's metadata and the coordinates."""

import warnings
from typing import Any

import pandas as pd
import zarr
from zarr.abc.buffer import Buffer
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ZstdCodec
from zarr.storage import MemoryStore

from kc.store.content import StoreContent
from kc.store.spec import ArraySpec

CHUNK_ROWS = 16  # of an inner chunk, the least that is read for a single row


def laid_out(store: StoreContent) -> dict[str, bytes]:
    """Return the metadata files of all arrays and the files of the coordinates, by name."""
    files: dict[str, Buffer] = {}
    group = zarr.open_group(MemoryStore(files), mode="w", zarr_format=3)
    group.attrs.update(store.attributes)
    for spec in store.arrays:
        _create(group, spec, store.shard_rows, store.compressor)
    for name in store.coordinates:
        _write_coordinate(group, str(name), store.coordinates[name])
    return {name: content.to_bytes() for name, content in sorted(files.items())}


def _create(group: zarr.Group, spec: ArraySpec, shard_rows: int, compressor: str) -> None:
    shard = list(spec.shape)
    shard[spec.row_axis] = shard_rows
    chunk = list(shard)
    chunk[spec.row_axis] = chunk_rows(shard_rows)
    compressors: list[Any] = [Crc32cCodec()]
    if compressor == "lz4":
        compressors.insert(0, BloscCodec(cname="lz4", clevel=5))
    elif compressor == "zstd":
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


def chunk_rows(shard_rows: int) -> int:
    """Return the rows of an inner chunk, which must divide the shard."""
    return max(rows for rows in range(1, min(CHUNK_ROWS, shard_rows) + 1) if shard_rows % rows == 0)


def _write_coordinate(group: zarr.Group, name: str, values: pd.Series) -> None:
    numbers = values.to_numpy()
    data = numbers if numbers.dtype.kind in "iufb" else values.astype(str).to_numpy(dtype="U")
    with warnings.catch_warnings():
        # zarr warns that fixed-length strings are not in the v3 standard yet; xarray reads them
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
