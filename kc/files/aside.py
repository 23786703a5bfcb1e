"""Write a file completely or not at all: a temporary file first, then rename it."""

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
"""Called before a file is renamed; each raises an error if this process lost its lock."""
_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"
_TOKEN = secrets.token_hex(2)
"""Distinguishes containers that share a host name and process number."""
_ASIDE = re.compile(r"\.(?P<name>.+)\.(?P<host>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{4}\.aside")
_SWEPT: set[Path] = set()
_AGAIN = "run the same command again, it continues from there"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FIXES = {
    **dict.fromkeys(_FULL, f"make room and {_AGAIN}"),
    errno.EFBIG: f"raise the limit (ulimit -f) and {_AGAIN}",
    errno.EROFS: "write elsewhere (another --out or results folder)",
    errno.EACCES: f"make it writable and {_AGAIN}, or write elsewhere",
    errno.EPERM: f"make it writable and {_AGAIN}, or write elsewhere",
    errno.ENAMETOOLONG: "write to a folder with a shorter path",
    errno.ENOTDIR: "move away the file that is in the place of a folder",
    errno.EIO: f"check the disk, and {_AGAIN}",
    errno.EMFILE: f"raise the limit of open files (ulimit -n) and {_AGAIN}",
}


@contextmanager
def put_in_place(path: Path, lasting: bool = True) -> Iterator[BinaryIO]:
    """Open a temporary file to write; rename it on success, else remove it.

    No other process writes to the same temporary file. A link under the name is replaced; its
    target is not changed.

    Parameters
    ----------
    lasting
        Whether to flush the file and its name to the disk before returning.

    Raises
    ------
    StoreError
        The disk refuses it, or a lock of this process was taken over.
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
    """Write a file in one step, if it need not survive a power loss."""
    with put_in_place(path, lasting=False) as file:
        file.write(content)


def ask_guards() -> None:
    """Check that this process may still write.

    Raises
    ------
    StoreError
        One of its locks was taken over.
    """
    for guard in GUARDS:
        guard()


def target_of(name: str) -> str:
    """Return the final name of a temporary file; any other name unchanged."""
    found = _ASIDE.fullmatch(name)
    if found:
        return found["name"]
    is_older = name.startswith(".") and name.endswith(".aside")
    return name[1 : -len(".aside")] if is_older else name


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        # not every file system supports it for folders
        with suppress(OSError) if path.is_dir() else writing(path):
            os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn errors of the disk into an error that names the path.

    Raises
    ------
    StoreError
        Instead of the ``OSError``.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FIXES:
            raise
        what = "no space left on the disk" if error.errno in _FULL else "cannot be written"
        raise StoreError(
            f"{path}: {what} ({error.strerror}). What was written is complete; "
            f"fix: {_FIXES[error.errno]}."
        ) from error


def _sweep(folder: Path) -> None:
    """Remove temporary files of dead writers of this machine, once per process."""
    if folder in _SWEPT:
        return
    _SWEPT.add(folder)
    for path in folder.glob(".*.aside"):
        found = _ASIDE.fullmatch(path.name)
        if found and found["host"] == _HOST and not process_lives(int(found["process"])):
            path.unlink(missing_ok=True)


def process_lives(process: int) -> bool:
    """Return whether a process of this machine lives."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
