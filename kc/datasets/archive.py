"""One small interface to an archive or an extracted folder: list names, read bytes.

Nothing is ever extracted. A compressed archive is unpacked once into an unnamed temporary file
(random access into gzip is slow, and all pictures need not fit in memory), a plain tar is read
where it lies. Every member is judged before the first is read.
"""

import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import BinaryIO, Protocol, cast, runtime_checkable

from kc.datasets.unpack import BROKEN, Limits, truncated, unpack_to, unpacker_of
from kc.errors import ImageError
from kc.files.checksum import differs
from kc.files.sources import names_under


@runtime_checkable
class Files(Protocol):
    """Names and bytes of a data set, wherever they lie."""

    where: Path

    def names(self) -> list[str]:
        """List all files, sorted, with ``/`` between folders."""

    def __contains__(self, name: str) -> bool: ...

    def read(self, name: str) -> bytes:
        """Read one file whole. Raises ImageError where there is none of that name."""


class FolderFiles:
    """An extracted folder."""

    def __init__(self, where: Path) -> None:
        self.where = where

    def names(self) -> list[str]:
        """List all files that are not hidden, sorted; links are followed, but not in a ring."""
        return names_under(self.where)

    def __contains__(self, name: str) -> bool:
        return not climbs(name) and (self.where / name).is_file()

    def read(self, name: str) -> bytes:
        """Read one file whole."""
        if climbs(name):
            raise ImageError(f"{self.where}: '{name}' leaves the folder; refused.")
        try:
            return (self.where / name).read_bytes()
        except OSError as error:
            raise ImageError(f"{self.where}: '{name}' cannot be read: {error.strerror}.") from error


class TarFiles:
    """A tar archive, indexed and judged once, then read at random."""

    def __init__(self, where: Path, plain: BinaryIO, limits: Limits) -> None:
        self.where = where
        self._tar = _open_tar(where, plain)
        self._members = _judged_members(where, self._tar, limits)

    def names(self) -> list[str]:
        """List all files, sorted, with ``/`` between folders. Links are not followed."""
        return sorted(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str) -> bytes:
        """Read one file whole."""
        if name not in self._members:
            raise ImageError(f"{self.where}: has no '{name}'.")
        file = self._tar.extractfile(self._members[name])
        assert file is not None, "only regular files are indexed"
        return file.read()


class JoinedFiles:
    """Several sources read as one, e.g. the archives a data set comes in; the first has its way."""

    def __init__(self, where: Path, parts: Sequence[Files]) -> None:
        self.where = where
        self._parts = parts

    def names(self) -> list[str]:
        """List all files, sorted, with ``/`` between folders."""
        return sorted({name for part in self._parts for name in part.names()})

    def __contains__(self, name: str) -> bool:
        return any(name in part for part in self._parts)

    def read(self, name: str) -> bytes:
        """Read one file whole."""
        for part in self._parts:
            if name in part:
                return part.read(name)
        raise ImageError(f"{self.where}: has no '{name}', nor have the archives in it.")


@contextmanager
def open_folder_of(
    where: Path,
    archives: Sequence[str],
    checksums: Mapping[str, str | None] = MappingProxyType({}),
    spool: Path | None = None,
    limits: Limits | None = None,
) -> Iterator[Files]:
    """Open a folder together with those of the named archives that lie in it.

    ``checksums`` of these, ``sha256:...`` or ``md5:...``, are checked where they are known.

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
    """Open an archive (tar, plain or compressed) or an extracted folder.

    Parameters
    ----------
    where
        The archive or the folder.
    url
        Where the archive is to be had, for the message that says it is missing.
    md5
        Checksum of the archive; a folder has none and is taken as it is.
    spool
        Folder for the unpacked temporary file; none: the system's.
    limits
        What the archive may unpack to.

    Raises
    ------
    ImageError
        The archive is missing, another one, truncated, too large, or holds a member that would
        leave the folder it is unpacked in.
    """
    limits = limits or Limits()
    if where.is_dir():
        yield FolderFiles(where)
        return
    if not where.is_file():
        raise ImageError(_missing(where, url, md5))
    _check(where, url, md5 and f"md5:{md5}")
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


def climbs(name: str) -> bool:
    """Tell whether a name is absolute or leads out of the folder it is taken in."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or (len(name) > 1 and name[1] == ":")


def _missing(where: Path, url: str | None, md5: str | None) -> str:
    source = f" It is to be had at {url}{f' (md5 {md5})' if md5 else ''}." if url else ""
    return (
        f"{where}: no archive and no folder there (looked in {where.absolute().parent}).{source} "
        "Cure: put it there, or name the folder it lies in: --config data_root=FOLDER"
    )


def _check(where: Path, url: str | None, expected: str | None) -> None:
    """Refuse an archive of another checksum than the expected one, if that is known."""
    if expected and (found := differs(where, expected)):
        again = f" from {url}" if url else ""
        raise ImageError(
            f"{where}: its checksum is {found}, expected {expected}: truncated, or another "
            f"archive. Cure: fetch it again{again}, or mend 'md5' or 'files' in the settings."
        )


def _open_tar(where: Path, plain: BinaryIO) -> tarfile.TarFile:
    """Open an unpacked tar and make sure that it ends with its end mark."""
    try:
        tar = tarfile.open(fileobj=plain, mode="r:")  # noqa: SIM115, lives as long as its reader
        tar.getmembers()
    # what tarfile itself trips over: numbers too large, headers without an end
    except (*BROKEN, ValueError, OverflowError, RecursionError) as error:
        raise ImageError(truncated(where, error)) from error
    plain.seek(tar.offset)
    if plain.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        plain.seek(max(tar.offset - tarfile.BLOCKSIZE, 0))
        if plain.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise ImageError(truncated(where, "its end mark is missing"))
    return tar


def _judged_members(
    where: Path, tar: tarfile.TarFile, limits: Limits
) -> dict[str, tarfile.TarInfo]:
    members: dict[str, tarfile.TarInfo] = {}
    total = 0
    # a sparse member promises more than the archive holds
    if any(member.issparse() for member in tar.getmembers()):
        raise ImageError(f"{where}: holds a file with holes; refused. No picture has any.")
    for member in tar.getmembers():
        _judge(where, member)
        if member.size > limits.member:
            raise ImageError(
                f"{where}: '{member.name}' unpacks to {member.size:,} bytes, "
                f"more than {limits.member:,}; refused."
            )
        total += member.size
        if total > limits.total:
            raise ImageError(f"{where}: unpacks to more than {limits.total:,} bytes; refused.")
        if member.isreg():
            members[str(PurePosixPath(member.name))] = member
    return members


def _judge(where: Path, member: tarfile.TarInfo) -> None:
    """Refuse what tarfile's data filter refuses, and absolute paths, which it would mend."""
    fault = "its path leaves the folder" if climbs(member.name) else ""
    fault = "its name holds a NUL" if "\0" in f"{member.name}{member.linkname}" else fault
    if not fault:
        try:
            tarfile.data_filter(member, "/unpacked")
        except tarfile.FilterError as error:
            fault = str(error)
    if fault:
        raise ImageError(
            f"{where}: member '{member.name}' is not safe: {fault}. "
            "Nothing was read. Cure: fetch the official archive."
        )
