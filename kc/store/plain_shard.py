"""Read and write complete uncompressed shards without zarr, and hash them on the way.

The files equal those of zarr byte for byte. zarr needs a task and two copies per chunk of 16 rows,
and a separate digest reads each shard twice: together this is eight times as slow as this module
in reading (``benchmarks/read.py``), four times in writing.
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
"""Bytes read and then hashed at a time, so that they stay in the cache."""


class PlainShards(NamedTuple):
    """Layout of an array's shards: chunks of rows, a CRC after each, an index at the end."""

    row_axis: int
    chunks: int
    """Chunks per shard."""
    chunk_rows: int
    chunk_bytes: int

    def write(self, file: Path, blocks: Iterable[np.ndarray]) -> dict[str, Any]:
        """Write a shard chunk by chunk to a temporary file, then rename it.

        Every block but the last holds ``chunk_rows``. Return the file's ``bytes`` and ``digest``.
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
        """Fill ``out`` with a shard's rows; if ``hashed``, return the digest of its file.

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
        """Return a chunk's bytes, with zeros for missing last rows."""
        missing = [(0, 0)] * block.ndim
        missing[self.row_axis] = (0, self.chunk_rows - block.shape[self.row_axis])
        whole = np.pad(block, missing) if missing[self.row_axis][1] else block
        return np.ascontiguousarray(whole).reshape(-1).view(np.uint8)

    def _behind(self, opened: int, used: int, stride: int) -> np.ndarray:
        """Return the index after the chunks, which must name them in order."""
        expected = np.arange(used, dtype="<u8") * stride
        behind = np.empty(16 * self.chunks + _CRC_BYTES, np.uint8)
        if os.fstat(opened).st_size == used * stride + len(behind):
            _read(opened, behind, used * stride)
            begins, sizes = behind[:-_CRC_BYTES].view("<u8").reshape(self.chunks, 2)[:used].T
            if np.array_equal(begins, expected) and (sizes == stride).all():
                return behind
        raise ValueError("the shard's chunks do not lie in order")


def _read(opened: int, into: np.ndarray, begin: int) -> None:
    # no memory map: it is not faster, and crashes if the file is cut off meanwhile
    done = 0
    while done < len(into):
        got = os.preadv(opened, [into[done:]], begin + done)
        if got == 0:
            raise ValueError("the shard's file ends too early")
        done += got


def _crc(content: np.ndarray) -> np.ndarray:
    return np.asarray([google_crc32c.value(content)], "<u4").view(np.uint8)


def plain_shards(array: zarr.Array[Any], row_axis: int) -> PlainShards | None:
    """Return the layout of uncompressed shards; None for any other layout."""
    codec = array.metadata.codecs[0] if array.metadata.zarr_format == 3 else None
    if not isinstance(codec, ShardingCodec) or array.shards is None:
        return None
    if [type(part) for part in codec.codecs] != [BytesCodec, Crc32cCodec]:
        return None
    rows = array.chunks[row_axis]
    size = int(np.prod(array.chunks)) * array.dtype.itemsize
    return PlainShards(row_axis, array.shards[row_axis] // rows, rows, size)
