"""Whole uncompressed shards, copied between file and memory and hashed on the way.

Byte for byte what zarr writes. It takes a task and two copies a chunk of 16 rows, and a digest
taken before or after means reading a shard twice: together an eighth of the speed of this in
reading (``benchmarks/read.py``), a quarter in writing.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
import xxhash
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec

from kc.files.aside import put_in_place

_CRC_BYTES = 4
_NO_CHUNK = 2**64 - 1
_PIECE = 1 << 19
"""Bytes read and then hashed: what stays in the cache in between."""


class PlainShards(NamedTuple):
    """How an array's shards lie on disk: chunks of rows, a CRC behind each, an index at the end."""

    row_axis: int
    chunks: int
    """In a whole shard."""
    chunk_rows: int
    chunk_bytes: int

    def write(self, file: Path, blocks: Iterable[np.ndarray]) -> dict[str, Any]:
        """Write a shard, chunk after chunk, aside and then in its place.

        Every block but the last holds ``chunk_rows``. Gives the file's ``bytes`` and ``digest``.
        """
        digest, size = xxhash.xxh3_128(), 0
        index = np.full((self.chunks, 2), _NO_CHUNK, "<u8")
        with put_in_place(file, lasting=False) as opened:

            def put(content: np.ndarray) -> None:
                nonlocal size
                for part in (content, _crc(content)):
                    digest.update(part)
                    opened.write(part)
                    size += part.nbytes

            for chunk, block in enumerate(blocks):
                index[chunk] = size, self.chunk_bytes + _CRC_BYTES
                put(self._filled(block))
            put(index.reshape(-1).view(np.uint8))
        return {"bytes": size, "digest": digest.hexdigest()}

    def read(self, file: Path, out: np.ndarray, hashed: bool) -> str:
        """Fill ``out`` with a shard's rows; give the digest of its file, where it is asked for.

        Rows must be the first axis.

        Raises
        ------
        ValueError
            The file is too short, or its chunks lie in another order.
        OSError
            It cannot be read.
        """
        used = -(-len(out) // self.chunk_rows)
        stride = self.chunk_bytes + _CRC_BYTES
        digest, piece_bytes = xxhash.xxh3_128(), _PIECE if hashed else self.chunk_bytes
        target = out.reshape(-1).view(np.uint8)
        with file.open("rb", buffering=0) as raw:
            opened = raw.fileno()
            behind = self._behind(opened, used, stride)
            for chunk in range(used):
                begin = chunk * stride
                wanted = target[chunk * self.chunk_bytes : (chunk + 1) * self.chunk_bytes]
                for start in range(0, len(wanted), piece_bytes):
                    piece = wanted[start : start + piece_bytes]
                    _read(opened, piece, begin + start)
                    if hashed:
                        digest.update(piece)
                if hashed:
                    rest = np.empty(stride - len(wanted), np.uint8)
                    _read(opened, rest, begin + len(wanted))
                    digest.update(rest)
        digest.update(behind)
        return digest.hexdigest() if hashed else ""

    def _filled(self, block: np.ndarray) -> np.ndarray:
        """Return a chunk's bytes; zeros where its last rows are missing."""
        missing = [(0, 0)] * block.ndim
        missing[self.row_axis] = (0, self.chunk_rows - block.shape[self.row_axis])
        whole = np.pad(block, missing) if missing[self.row_axis][1] else block
        return np.ascontiguousarray(whole).reshape(-1).view(np.uint8)

    def _behind(self, opened: int, used: int, stride: int) -> np.ndarray:
        """Return what lies behind the chunks: the index, which must name them in order."""
        expected = np.arange(used, dtype="<u8") * stride
        behind = np.empty(16 * self.chunks + _CRC_BYTES, np.uint8)
        if os.fstat(opened).st_size == used * stride + len(behind):
            _read(opened, behind, used * stride)
            begins, sizes = behind[:-_CRC_BYTES].view("<u8").reshape(self.chunks, 2)[:used].T
            if np.array_equal(begins, expected) and (sizes == stride).all():
                return behind
        raise ValueError("the shard's chunks do not lie in order")


def _read(opened: int, into: np.ndarray, begin: int) -> None:
    # not a map of the file: no slower, and one that is cut off meanwhile is no crash
    done = 0
    while done < len(into):
        got = os.preadv(opened, [into[done:]], begin + done)
        if got == 0:
            raise ValueError("the shard's file ends too early")
        done += got


def _crc(content: np.ndarray) -> np.ndarray:
    return np.asarray([google_crc32c.value(content)], "<u4").view(np.uint8)


def plain_shards(array: zarr.Array[Any], row_axis: int) -> PlainShards | None:
    """Return the layout of shards whose chunks hold rows as they are; None if compressed."""
    codec = array.metadata.codecs[0] if array.metadata.zarr_format == 3 else None
    if not isinstance(codec, ShardingCodec) or array.shards is None:
        return None
    if [type(part) for part in codec.codecs] != [BytesCodec, Crc32cCodec]:
        return None
    rows = array.chunks[row_axis]
    size = int(np.prod(array.chunks)) * array.dtype.itemsize
    return PlainShards(row_axis, array.shards[row_axis] // rows, rows, size)
