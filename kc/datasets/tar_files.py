"""Reader of tar archives; every member is checked before the first is read."""

import tarfile
from collections import Counter
from pathlib import Path
from typing import BinaryIO

from kc.datasets.members import NOWHERE, Indexed, climbs, plain_name, with_links
from kc.datasets.opening import known_as
from kc.datasets.unpack import BROKEN, Limits, truncated
from kc.errors import ImageError

_START = 512


class TarFiles(Indexed[tarfile.TarInfo]):
    """A tar archive, indexed and checked once, then read in any order."""

    def __init__(self, where: Path, plain: BinaryIO, limits: Limits) -> None:
        self._tar = open_tar(where, plain)
        super().__init__(where, *_judged_members(where, self._tar, limits))

    def read(self, name: str, most: int = -1) -> bytes:
        """Read one file, or its first ``most`` bytes."""
        file = self._tar.extractfile(self._member(name))
        assert file is not None, "only regular files are indexed"
        return file.read(most)


def open_tar(where: Path, plain: BinaryIO) -> tarfile.TarFile:
    """Open an unpacked tar and check that it ends with its end mark.

    Raises
    ------
    ImageError
        It is truncated, or no tar; the message names its format if known.
    """
    try:
        tar = tarfile.open(fileobj=plain, mode="r:")  # noqa: SIM115, lives as long as its reader
        tar.getmembers()
    # errors of tarfile itself: numbers too large, endless headers
    except (*BROKEN, ValueError, OverflowError, RecursionError) as error:
        plain.seek(0)
        what = known_as(plain.read(_START))
        raise ImageError(no_archive(where, what) if what else truncated(where, error)) from error
    plain.seek(tar.offset)
    if plain.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        plain.seek(max(tar.offset - tarfile.BLOCKSIZE, 0))
        if plain.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise ImageError(truncated(where, "its end mark is missing"))
    return tar


def no_archive(where: Path, what: str) -> str:
    """Format the error of a file of another known format."""
    return (
        f"{where}: no archive that kc reads, it is {what.removeprefix('a damaged ')}. Expected a "
        "tar (plain, or packed by gzip, bzip2 or xz), a zip or a folder. Fix: if it was "
        "downloaded, download it again; else unpack it and give the folder."
    )


def _judged_members(
    where: Path, tar: tarfile.TarFile, limits: Limits
) -> tuple[dict[str, tarfile.TarInfo], Counter[str]]:
    members: dict[str, tarfile.TarInfo] = {}
    links: dict[str, str] = {}
    left_out = Counter[str]()
    total = 0
    # a sparse member claims more bytes than the archive holds
    if any(member.issparse() for member in tar.getmembers()):
        raise ImageError(f"{where}: holds a sparse file; refused. Fix: pack it without --sparse.")
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
            members[plain_name(member.name)] = member
        elif member.islnk() and plain_name(member.linkname) in members:
            # a hard link: tar stores the content once, under the first name
            members[plain_name(member.name)] = members[plain_name(member.linkname)]
        elif member.islnk():
            left_out[NOWHERE] += 1
        elif member.issym():
            links[plain_name(member.name)] = member.linkname
    found, unfollowed = with_links(members, links)
    return found, unfollowed + left_out


def _judge(where: Path, member: tarfile.TarInfo) -> None:
    """Refuse what tarfile's data filter refuses, and absolute paths, which it would change."""
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
            "Nothing was read. Fix: download the official archive."
        )
