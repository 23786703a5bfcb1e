"""Unpacking a compressed archive, never to more than a limit."""

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
    """What an archive may unpack to, bytes. Generous: ten times the largest one known here."""

    member: int = 1 << 30
    total: int = 32 << 30
    ratio: int = 200
    """Unpacked bytes a byte of the archive; those of photographs here: 1.5 to 4.8."""
    least: int = 64 << 20
    """Up to here no ratio is refused: a few small files are mostly padding."""

    def allowed(self, where: Path) -> int:
        """Return the bytes an archive may unpack to, by its size."""
        return min(self.total, max(self.least, self.ratio * where.stat().st_size))


def unpacker_of(where: Path) -> Unpacker | None:
    """Return what unpacks a file, by its first bytes; none: nothing, it is plain."""
    with where.open("rb") as file:
        start = file.read(8)
    return next((u for magic, u in _UNPACKERS.items() if start.startswith(magic)), None)


def unpack_to(where: Path, unpack: Unpacker, target: BinaryIO, limits: Limits) -> None:
    """Copy the unpacked archive to ``target``, never more than the limit.

    Raises
    ------
    ImageError
        The archive is broken or unpacks to too much, or there is no room for it.
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
    """Word what a broken archive is told by."""
    return (
        f"{where}: truncated or no tar archive ({error}). "
        "Fix: fetch it again, whole; give 'md5' to have it checked."
    )
