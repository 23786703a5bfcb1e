"""A file written whole or not at all: aside first, then under its name."""

import errno
import os
import re
import secrets
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from kc.errors import StoreError

GUARDS: list[Callable[[], None]] = []
"""Asked before a file gets its name; each raises where this process may write no longer."""
_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"
_TOKEN = secrets.token_hex(2)
"""Two containers may have one host name and one process number."""
_ASIDE = re.compile(r"\.(?P<name>.+)\.(?P<host>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{4}\.aside")
_SWEPT: set[Path] = set()
_AGAIN = "run the same command again, it goes on from there"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FIXES = {
    **dict.fromkeys(_FULL, f"make room and {_AGAIN}"),
    errno.EFBIG: f"raise the limit (ulimit -f) and {_AGAIN}",
    errno.EROFS: "write elsewhere (another --out or results folder)",
    errno.EACCES: f"make it writable and {_AGAIN}, or write elsewhere",
    errno.EPERM: f"make it writable and {_AGAIN}, or write elsewhere",
    errno.ENAMETOOLONG: "write to a folder with a shorter path",
    errno.ENOTDIR: "move the file away that lies where a folder is to be",
    errno.EIO: f"look at the disk, and {_AGAIN}",
    errno.EMFILE: f"raise the limit of open files (ulimit -n) and {_AGAIN}",
}


@contextmanager
def put_in_place(path: Path, lasting: bool = True) -> Iterator[BinaryIO]:
    """Open a file to write aside; rename it if that goes well, else leave nothing.

    No other process writes to the same file aside. A link under the name is replaced; what it
    leads to is not touched.

    Parameters
    ----------
    lasting
        Whether it is on the disk, and so is its name, before this returns.

    Raises
    ------
    StoreError
        The disk does not take it, or a lock of this process's was taken over.
    """
    aside = path.with_name(f".{path.name}.{_HOST}-{os.getpid()}-{_TOKEN}.aside")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        try:
            aside.unlink(missing_ok=True)
            with aside.open("xb") as file:
                yield file
                if lasting:
                    file.flush()
                    os.fsync(file.fileno())
            ask_guards()
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        if lasting:
            sync(path.parent)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in one step, for what need not survive a power loss."""
    with put_in_place(path, lasting=False) as file:
        file.write(content)


def ask_guards() -> None:
    """Go no further where this process may write no longer.

    Raises
    ------
    StoreError
        A lock of its was taken over.
    """
    for guard in GUARDS:
        guard()


def target_of(name: str) -> str:
    """Return the name of the file that one aside was to become; any other name as it is."""
    found = _ASIDE.fullmatch(name)
    if found:
        return found["name"]
    is_older = name.startswith(".") and name.endswith(".aside")
    return name[1 : -len(".aside")] if is_older else name


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        # of folders not every file system can
        with suppress(OSError) if path.is_dir() else writing(path):
            os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into an error that names the path.

    Raises
    ------
    StoreError
        In place of the ``OSError``.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FIXES:
            raise
        what = "no space left on the disk" if error.errno in _FULL else "cannot be written"
        raise StoreError(
            f"{path}: {what} ({error.strerror}). What is written is whole; "
            f"fix: {_FIXES[error.errno]}."
        ) from error


def _sweep(folder: Path) -> None:
    """Remove what writers of this machine that died left aside, once a process."""
    if folder in _SWEPT:
        return
    _SWEPT.add(folder)
    for path in folder.glob(".*.aside"):
        found = _ASIDE.fullmatch(path.name)
        if found and found["host"] == _HOST and not process_lives(int(found["process"])):
            path.unlink(missing_ok=True)


def process_lives(process: int) -> bool:
    """Ask whether a process of this machine lives."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
