"""The place of a store: a folder or bucket, by the operations that a store needs.

A store ``NAME`` is three things in one place: ``NAME.zarr`` (the arrays), ``NAME.json`` (the
manifest) and ``NAME.state`` (the writer's lock, key and receipts; readers do not need it).
"""

import shutil
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, override, runtime_checkable

from zarr.abc.store import Store as ZarrStore
from zarr.storage import LocalStore

from kc.errors import StoreError
from kc.plans.optional import import_optional
from kc.store.files import file_digest, parse_json, parse_signed, write_bytes_atomic
from kc.store.lock import lock

SUFFIXES = (".zarr", ".json", ".state")


@runtime_checkable
class Closing(Protocol):
    """Something that can be closed."""

    def close(self) -> None:
        """Close it."""


@runtime_checkable
class Place(Protocol):
    """A folder of files; names are relative to it, with slashes."""

    def where(self, name: str) -> str:
        """Return a file's full path, for messages."""

    def has(self, name: str) -> bool:
        """Return whether a file or folder exists."""

    def read(self, name: str) -> bytes:
        """Read a file; raise ``FileNotFoundError`` if there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file, completely or not at all."""

    def names(self, folder: str) -> list[str]:
        """List the names in a folder; empty if there is no folder."""

    def files(self, folder: str) -> list[str]:
        """List all files below a folder, relative to it; if it is a file itself, one empty name.

        A link to a folder counts as a file; its name ends with a slash.
        """

    def delete(self, name: str) -> None:
        """Remove a file, a link or a folder with all it holds, if it exists."""

    def digest(self, name: str) -> str:
        """Return the digest of a file; empty if there is none."""

    def size(self, name: str) -> int:
        """Return the size of a file in bytes."""

    def zarr(self) -> ZarrStore:
        """Return the place as a store of zarr."""

    def lock(self, name: str) -> Closing:
        """Take a lock that one process can hold; raise ``HeldError`` if another holds it."""


class Folder(Place):
    """A folder of a file system."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @override
    def where(self, name: str) -> str:
        return str(self.root / name)

    @override
    def has(self, name: str) -> bool:
        return (self.root / name).exists()

    @override
    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    @override
    def write(self, name: str, content: bytes) -> None:
        write_bytes_atomic(self.root / name, content)

    @override
    def names(self, folder: str) -> list[str]:
        path = self.root / folder
        return sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []

    @override
    def files(self, folder: str) -> list[str]:
        top, found = self.root / folder, []
        if top.is_symlink() or top.is_file():
            return [""]
        for at, folders, names in top.walk():
            inside = "" if at == top else f"{at.relative_to(top).as_posix()}/"
            found += [f"{inside}{name}" for name in names]
            found += [f"{inside}{name}/" for name in folders if (at / name).is_symlink()]
        return sorted(found)

    @override
    def delete(self, name: str) -> None:
        """Remove a file, a folder, or a link but not its target."""
        path = self.root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    @override
    def digest(self, name: str) -> str:
        path = self.root / name
        return file_digest(path) if path.is_file() else ""

    @override
    def size(self, name: str) -> int:
        return (self.root / name).stat().st_size

    @override
    def zarr(self) -> ZarrStore:
        return LocalStore(self.root)

    @override
    def lock(self, name: str) -> Closing:
        return lock(self.root / name)


def read_json_at(place: Place, name: str) -> Any:
    """Read JSON.

    Raises
    ------
    StoreError
        The file is missing or is not JSON.
    """
    return parse_json(partial(place.read, name), place.where(name))


def read_signed_at(place: Place, name: str, fix: str = "") -> dict[str, Any]:
    """Read signed JSON (:func:`kc.store.files.sign`).

    Raises
    ------
    StoreError
        The file is missing, or was edited or damaged; ends with ``fix``.
    """
    return parse_signed(partial(place.read, name), place.where(name), fix)


def signed_or_empty(place: Place, name: str) -> dict[str, Any]:
    """Read signed JSON; return nothing where it is missing, edited or damaged."""
    try:
        return read_signed_at(place, name)
    except StoreError:
        return {}


def place_of(root: Path | str) -> Place:
    """Return a place: a folder, or a prefix of a bucket (``s3://bucket/prefix``)."""
    if not is_remote(root):
        return Folder(Path(root))
    # it starts threads: only where it is used
    import_optional("obstore", f"{_url(root)}: a bucket", StoreError)
    from kc.store.bucket import Bucket

    return Bucket(_url(root))


def is_remote(path: Path | str) -> bool:
    """Return whether a path is a URL of an object store."""
    return str(path).startswith("s3:/")


def locate(path: Path | str) -> tuple[Place, str]:
    """Return a store's place and its name there, from the path of any of its three parts."""
    given = PurePosixPath(_url(path)) if is_remote(path) else Path(path)
    name = given.stem if given.suffix in SUFFIXES else given.name
    return place_of(str(given.parent)), name


def _url(path: Path | str) -> str:
    """Restore a URL after a ``Path``, which makes one slash of two."""
    return "s3://" + str(path).removeprefix("s3:").strip("/")
