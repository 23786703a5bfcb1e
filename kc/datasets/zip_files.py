"""A zip archive as one names its files and reads them; every member is judged before the first."""

import stat
import zipfile
from pathlib import Path

from kc.datasets.members import Indexed, climbs, plain_name, with_links
from kc.datasets.unpack import BROKEN, Limits
from kc.errors import ImageError

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
"""First bytes of a zip, and of an empty one."""
_FAULTS = (*BROKEN, zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError)
"""What zipfile trips over: damage, names in no encoding, kinds of packing it has not."""
_ENCRYPTED = 0x1
_LINK = 1 << 12
"""Bytes that the target of a link may have."""


class ZipFiles(Indexed[zipfile.ZipInfo]):
    """A zip archive, indexed and judged once, then read at random where it lies."""

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
                f"{self.where}: '{member.filename}' cannot be unpacked ({error}). Fix: fetch the "
                "archive again, whole; or unpack it yourself, and give the folder."
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
                    "folder. Nothing was read. Fix: fetch the official archive."
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
    """Word what a broken zip is told by."""
    return (
        f"{where}: begins as a zip archive does, but is truncated or damaged ({error}). "
        "Fix: fetch it again, whole; or unpack it yourself, and give the folder."
    )
