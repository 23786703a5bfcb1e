"""Reader of zip archives; every member is checked before the first is read."""

import stat
import zipfile
from pathlib import Path

from kc.datasets.members import Indexed, climbs, plain_name, with_links
from kc.datasets.unpack import BROKEN, Limits
from kc.errors import ImageError

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
"""First bytes of a zip, and of an empty one."""
_FAULTS = (*BROKEN, zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError)
"""Errors of zipfile: damage, names in an unknown encoding, unknown compression."""
_ENCRYPTED = 0x1
_LINK = 1 << 12
"""Most bytes of the target of a link."""


class ZipFiles(Indexed[zipfile.ZipInfo]):
    """A zip archive, indexed and checked once, then read in any order, in place."""

    def __init__(self, where: Path, limits: Limits) -> None:
        self.where = where
        try:
            self._zip = zipfile.ZipFile(where)
        except _FAULTS as error:
            raise ImageError(_cut(where, error)) from error
        super().__init__(where, *with_links(*self._judged(limits)))

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def read(self, name: str, most: int = -1) -> bytes:
        """Read one file, or its first ``most`` bytes."""
        return self._bytes(self._member(name), most)

    def check(self) -> None:
        """Read every member to its end.

        Raises
        ------
        ImageError
            One is damaged.
        """
        for member in self._members.values():
            self._bytes(member, -1)

    def _bytes(self, member: zipfile.ZipInfo, most: int) -> bytes:
        try:
            with self._zip.open(member) as file:
                return file.read(most)
        except _FAULTS as error:
            raise ImageError(
                f"{self.where}: '{member.filename}' cannot be unpacked ({error}). Fix: download "
                "the archive again, or unpack it yourself and give the folder."
            ) from error

    def _judged(self, limits: Limits) -> tuple[dict[str, zipfile.ZipInfo], dict[str, str]]:
        members: dict[str, zipfile.ZipInfo] = {}
        links: dict[str, str] = {}
        total, allowed = 0, limits.allowed(self.where)
        for member in self._zip.infolist():
            name, kind = plain_name(member.filename), stat.S_IFMT(member.external_attr >> 16)
            if climbs(member.filename):
                raise ImageError(
                    f"{self.where}: member '{member.filename}' is not safe: its path leaves the "
                    "folder. Nothing was read. Fix: download the official archive."
                )
            if member.flag_bits & _ENCRYPTED:
                raise ImageError(
                    f"{self.where}: '{name}' is encrypted. Fix: unpack the archive with its "
                    "password, and give the folder."
                )
            total += member.file_size
            if member.file_size > limits.member or total > allowed:
                raise ImageError(
                    f"{self.where}: unpacks to more than {min(limits.member, allowed):,} bytes "
                    f"(at '{name}'); refused."
                )
            if kind == stat.S_IFLNK:
                links[name] = self._bytes(member, _LINK).decode("utf-8", "surrogateescape")
            elif not member.is_dir():
                members[name] = member
        return members, links


def _cut(where: Path, error: Exception) -> str:
    """Format the error of a damaged zip."""
    return (
        f"{where}: begins as a zip archive, but is truncated or damaged ({error}). "
        "Fix: download it again, or unpack it yourself and give the folder."
    )
