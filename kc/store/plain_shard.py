"""Whole uncompressed shards, copied from the file to their place and hashed on the way.

zarr takes a task and two copies a chunk of 16 rows, and checking a shard's digest first means
reading it twice: together an eighth of the speed of this (``benchmarks/read.py``).
"""

import mmap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xxhash
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec

_CRC_BYTES = 4
_PIECE = 1 << 18
"""Bytes hashed and then copied: what stays in the cache in between."""
_POPULATE = getattr(mmap, "MAP_POPULATE", 0)


class PlainShards(NamedTuple):
    """How an array's shards lie on disk: chunks of rows, a CRC behind each, an index at the end."""

    chunks: int
    """In a whole shard."""
    chunk_rows: int
    chunk_bytes: int

    def read(self, file: Path, out: np.ndarray, hashed: bool) -> str:
        """Fill ``out`` with a shard's rows; give the digest of its file, where it is asked for.

        Raises
        ------
        ValueError
            The file is too short, or its chunks lie in another order.
        OSError
            It cannot be read.
        """
        used = -(-len(out) // self.chunk_rows)
        stride = self.chunk_bytes + _CRC_BYTES
        digest = xxhash.xxh3_128()
        with file.open("rb") as opened:
            mapped = mmap.mmap(
                opened.fileno(), 0, flags=mmap.MAP_SHARED | _POPULATE, prot=mmap.PROT_READ
            )
        source = np.frombuffer(mapped, np.uint8)
        self._check_order(source, used, stride)
        target = out.reshape(-1).view(np.uint8)
        for chunk in range(used):
            begin = chunk * stride
            wanted = target[chunk * self.chunk_bytes : (chunk + 1) * self.chunk_bytes]
            for start in range(0, len(wanted), _PIECE):
                piece = source[begin + start : begin + min(start + _PIECE, len(wanted))]
                if hashed:
                    digest.update(piece)
                wanted[start : start + len(piece)] = piece
            if hashed:
                digest.update(source[begin + len(wanted) : begin + stride])
        if hashed:
            digest.update(source[used * stride :])
        return str(digest.hexdigest())

    def _check_order(self, source: np.ndarray, used: int, stride: int) -> None:
        begin = len(source) - 16 * self.chunks - _CRC_BYTES
        index = source[begin:-_CRC_BYTES].view("<u8").reshape(self.chunks, 2)[:used]
        expected = [(chunk * stride, stride) for chunk in range(used)]
        if begin < used * stride or not np.array_equal(index, expected):
            raise ValueError("the shard's chunks do not lie in order")


def plain_shards(array: zarr.Array[Any], row_axis: int) -> PlainShards | None:
    """Say how the shards lie; None where they are compressed or rows are not the first axis."""
    codec = array.metadata.codecs[0] if array.metadata.zarr_format == 3 else None
    if row_axis != 0 or not isinstance(codec, ShardingCodec) or array.shards is None:
        return None
    if [type(part) for part in codec.codecs] != [BytesCodec, Crc32cCodec]:
        return None
    rows = array.chunks[0]
    size = int(np.prod(array.chunks)) * array.dtype.itemsize
    return PlainShards(array.shards[0] // rows, rows, size)
