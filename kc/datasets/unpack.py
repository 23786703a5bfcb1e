"""Decompression of an archive, up to a limit."""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from kc.errors import ImageError

BLOCK = 1 << 20
Unpacker = Callable[[Path], gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile]
_UNPACKERS: dict[bytes, Unpacker] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
}
BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError, tarfile.TarError)


class Limits(NamedTuple):
    """Limits of unpacked bytes; the total is ten times that of the largest known archive."""

    member: int = 1 << 30
    total: int = 32 << 30
    ratio: int = 200
    """Unpacked bytes per byte of the archive; archives of photographs have 1.5 to 4.8."""
    least: int = 64 << 20
    """Up to here any ratio is allowed: a few small files are mostly padding."""

    def allowed(self, where: Path) -> int:
        """Return the bytes an archive may unpack to, by its size."""
        return min(self.total, max(self.least, self.ratio * where.stat().st_size))


def unpacker_of(where: Path) -> Unpacker | None:
    """Return the decompressor of a file by its first bytes; None: it is not compressed."""
    with where.open("rb") as file:
        start = file.read(8)
    return next((u for magic, u in _UNPACKERS.items() if start.startswith(magic)), None)


def unpack_to(where: Path, unpack: Unpacker, target: BinaryIO, limits: Limits) -> None:
    """Copy the unpacked archive to ``target``, never more than the limit.

    Raises
    ------
    ImageError
        The archive is damaged or unpacks to too much, or there is no room for it.
    """
    total, allowed = 0, limits.allowed(where)
    try:
        for block in _blocks(where, unpack):
            total += len(block)
            if total > allowed:
                raise ImageError(
                    f"{where}: its {where.stat().st_size:,} bytes unpack to more than {allowed:,} "
                    "bytes; refused."
                )
            target.write(block)
        target.flush()
    except OSError as error:
        raise ImageError(
            f"{where}: no room to unpack it ({error.strerror} after {total:,} bytes). "
            "Fix: free space on the disk of the results, or give an extracted folder."
        ) from error


def _blocks(where: Path, unpack: Unpacker) -> Iterator[bytes]:
    with unpack(where) as source:
        try:
            yield from iter(partial(source.read, BLOCK), b"")
        except BROKEN as error:
            raise ImageError(truncated(where, error)) from error


def truncated(where: Path, error: object) -> str:
    """Format the error of a damaged archive."""
    return (
        f"{where}: truncated or no tar archive ({error}). "
        "Fix: download it again; set 'md5' to have it checked."
    )
