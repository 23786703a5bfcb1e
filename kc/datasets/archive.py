"""One small interface to an archive or an extracted folder: list names, read bytes.

Nothing is ever extracted. A compressed tar is unpacked once into an unnamed temporary file
(random access into gzip is slow, and all pictures need not fit in memory); a plain tar and a zip
are read in place. Every member is checked before the first is read.
"""

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Protocol, cast, runtime_checkable

from kc.datasets.members import climbs
from kc.datasets.tar_files import TarFiles, open_tar
from kc.datasets.unpack import Limits, unpack_to, unpacker_of
from kc.datasets.zip_files import MAGIC, ZipFiles
from kc.errors import ImageError
from kc.files.checksum import differs
from kc.files.sources import names_under


@runtime_checkable
class Files(Protocol):
    """Names and bytes of the files of a data set."""

    where: Path
    passed: dict[str, int]
    """How many files a reader skipped, by reason."""

    def names(self) -> list[str]:
        """List all files, sorted, with ``/`` between folders."""

    def left_out(self) -> Counter[str]:
        """Count what :meth:`names` does not list, by reason."""

    def __contains__(self, name: str) -> bool: ...

    def read(self, name: str, most: int = -1) -> bytes:
        """Read one file, or its first bytes. Raise ImageError if there is no such file."""


class FolderFiles:
    """An extracted folder."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.passed: dict[str, int] = {}

    def names(self) -> list[str]:
        """List all files that are not hidden, sorted; links are followed, but not in circles."""
        return names_under(self.where)

    def left_out(self) -> Counter[str]:
        """Count hidden files, broken links and special files."""
        counts = Counter[str]()
        names_under(self.where, counts)
        return counts

    def __contains__(self, name: str) -> bool:
        # os.path.isfile returns False for a name that is too long or holds a NUL
        return not climbs(name) and os.path.isfile(self.where / name)  # noqa: PTH113

    def read(self, name: str, most: int = -1) -> bytes:
        """Read one file, or its first ``most`` bytes."""
        if climbs(name):
            raise ImageError(f"{self.where}: '{name}' leaves the folder; refused.")
        try:
            with (self.where / name).open("rb") as file:
                return file.read(most)
        except OSError as error:
            raise ImageError(f"{self.where}: '{name}' cannot be read: {error.strerror}.") from error


class JoinedFiles:
    """Several sources read as one, e.g. a data set's archives; on a name clash the first wins."""

    def __init__(self, where: Path, parts: Sequence[Files]) -> None:
        self.where = where
        self.passed: dict[str, int] = {}
        self._parts = parts

    def names(self) -> list[str]:
        """List all files, sorted, with ``/`` between folders."""
        return sorted({name for part in self._parts for name in part.names()})

    def left_out(self) -> Counter[str]:
        """Count the files that the parts do not list, by reason."""
        return sum((part.left_out() for part in self._parts), Counter())

    def __contains__(self, name: str) -> bool:
        return any(name in part for part in self._parts)

    def read(self, name: str, most: int = -1) -> bytes:
        """Read one file, or its first ``most`` bytes."""
        for part in self._parts:
            if name in part:
                return part.read(name, most)
        raise ImageError(f"{self.where}: has no '{name}', and neither have its archives.")


@contextmanager
def open_folder_of(
    where: Path,
    archives: Sequence[str],
    checksums: Mapping[str, str | None] = MappingProxyType({}),
    spool: Path | None = None,
    limits: Limits | None = None,
) -> Iterator[Files]:
    """Open a folder together with those of the named archives that are in it.

    Known ``checksums`` of these (``sha256:...`` or ``md5:...``) are checked.

    Raises
    ------
    ImageError
        As :func:`open_files`.
    """
    with ExitStack() as opened:
        found = [where / name for name in archives if (where / name).is_file()]
        for each in found:
            _check(each, None, checksums.get(each.name))
        inner = [
            opened.enter_context(open_files(each, None, None, spool, limits)) for each in found
        ]
        yield JoinedFiles(where, [FolderFiles(where), *inner])


@contextmanager
def open_files(
    where: Path,
    url: str | None = None,
    md5: str | None = None,
    spool: Path | None = None,
    limits: Limits | None = None,
) -> Iterator[Files]:
    """Open an archive (tar, plain or compressed; zip) or an extracted folder.

    Parameters
    ----------
    where
        The archive or the folder.
    url
        Download address of the archive, for the error message if it is missing.
    md5
        Checksum of the archive; not used for a folder.
    spool
        Folder for the unpacked temporary file; default: the system's.
    limits
        How much the archive may unpack to.

    Raises
    ------
    ImageError
        The archive is missing, has another checksum, is truncated or too large, or has a member
        whose path leaves the folder.
    """
    limits = limits or Limits()
    if where.is_dir():
        yield FolderFiles(where)
        return
    if not where.is_file():
        raise ImageError(_missing(where, url, md5))
    _check(where, url, md5 and f"md5:{md5}")
    if _is_zip(where):
        with closing(ZipFiles(where, limits)) as files:
            yield files
        return
    unpack = unpacker_of(where)
    if unpack is None:
        with where.open("rb") as plain:
            yield TarFiles(where, plain, limits)
        return
    with tempfile.TemporaryFile(dir=spool) as unpacked:
        target = cast(BinaryIO, unpacked)
        unpack_to(where, unpack, target, limits)
        target.seek(0)
        yield TarFiles(where, target, limits)


def check_whole(where: Path) -> None:
    """Read a complete archive, however much it unpacks to; nothing is written.

    Raises
    ------
    ImageError
        It is truncated, damaged, no archive, or a decompression bomb.
    """
    if _is_zip(where):
        with closing(ZipFiles(where, Limits(sys.maxsize, sys.maxsize))) as files:
            files.check()
    elif (unpack := unpacker_of(where)) is not None:
        # such a stream ends with a checksum, so its content need not be read
        with Path(os.devnull).open("wb") as nowhere:
            unpack_to(where, unpack, nowhere, Limits(total=sys.maxsize))
    else:
        with where.open("rb") as plain:
            open_tar(where, plain)


def _is_zip(where: Path) -> bool:
    with where.open("rb") as file:
        return file.read(4) in MAGIC


def _missing(where: Path, url: str | None, md5: str | None) -> str:
    source = f" Download address: {url}{f' (md5 {md5})' if md5 else ''}." if url else ""
    return (
        f"{where}: there is no archive and no folder (in {where.absolute().parent}).{source} "
        "Fix: put it there, or name the folder that holds it: --config data_root=FOLDER"
    )


def _check(where: Path, url: str | None, expected: str | None) -> None:
    """Raise an error if the archive does not have the expected checksum."""
    if expected and (found := differs(where, expected)):
        again = f" from {url}" if url else ""
        raise ImageError(
            f"{where}: its checksum is {found}, expected {expected}: truncated, or another "
            f"archive. Fix: download it again{again}, or correct 'md5' or 'files' in the settings."
        )
