"""Allow one writer per store or folder, by a lock that the kernel releases when its owner dies.

The kernel's lock works between processes of one machine, and between machines if the file system
supports that. Otherwise the text of the lock file decides: its owner empties it on release.
"""

import errno
import fcntl
import json
import os
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from kc.errors import StoreError, printable
from kc.files.aside import GUARDS, process_lives, writing
from kc.plans.commands import command

PULSE = 30.0
"""Seconds between two renewals of a lock by its owner."""
SILENCE = 15 * 60.0
"""Seconds without renewal after which an owner on another machine counts as dead."""
_BEGIN = '{"host": "'
_TAKEN = (
    "{path}: a link, or a file that kc did not make, is where kc keeps a lock; it was not changed. "
    "Fix: move it away, or write elsewhere (another --out or results folder)."
)
LOST = (
    "{path}: this lock was taken over by another process, or removed, while this one wrote: it did "
    "not renew the lock for too long, or somebody removed it. It writes nothing more. Fix: let "
    "the other process end, and run the same command again."
)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class HeldError(StoreError):
    """A lock that another process holds or may hold."""


class Lock:
    """A lock that is held until it is closed, or its process dies.

    While it is held, :meth:`check` must pass before any file is renamed into place.
    """

    def __init__(self, file: IO[str], path: Path, text: str) -> None:
        self._file, self._path, self._text = file, path, text.encode()
        self._ended = threading.Event()
        GUARDS.append(self.check)
        threading.Thread(target=self._beat, daemon=True, name="lock").start()

    def close(self) -> None:
        """Release the lock by emptying its file."""
        self._ended.set()
        if not self._file.closed:
            GUARDS.remove(self.check)
            if not self._is_lost():
                self._file.truncate(0)
            self._file.close()

    def check(self) -> None:
        """Check that the lock was neither taken over nor removed.

        Raises
        ------
        HeldError
            It was: another process may write here now.
        """
        if self._is_lost():
            raise HeldError(LOST.format(path=self._path))

    def _is_lost(self) -> bool:
        """Return whether the file no longer has this lock's text or name."""
        opened = self._file.fileno()
        try:
            there = os.path.samestat(self._path.stat(), os.fstat(opened))
        except FileNotFoundError:
            return True
        return not there or os.pread(opened, len(self._text) + 1, 0) != self._text

    def _beat(self) -> None:
        while not self._ended.wait(PULSE):
            with suppress(OSError, ValueError):  # closed, or deleted, in between
                if self._is_lost():
                    return
                os.utime(self._file.fileno())


def lock(path: Path) -> Lock:
    """Take a lock file; take over that of a dead owner.

    Raises
    ------
    HeldError
        Another process holds or may hold it; host, process and SLURM job are named.
    StoreError
        The file is a link or no lock, so kc must not empty it.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _opened(path)
        try:
            text = _take(file, path)
        except BaseException:
            file.close()
            raise
    return Lock(file, path, text)


def _opened(path: Path) -> IO[str]:
    """Open or create a lock file; refuse a link, and a file with a second name."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    try:
        file = os.fdopen(os.open(path, flags, 0o666), "a+", encoding="utf-8", errors="replace")
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EMLINK, errno.EISDIR):
            raise
        raise StoreError(_TAKEN.format(path=path)) from None
    file.seek(0)
    text = file.read(len(_BEGIN))
    if os.fstat(file.fileno()).st_nlink > 1 or not is_lock(text):
        file.close()
        raise StoreError(_TAKEN.format(path=path))
    return file


def is_lock(text: str) -> bool:
    """Return whether a text is that of a lock, complete or cut short."""
    return _BEGIN.startswith(text[: len(_BEGIN)])


def _take(file: IO[str], path: Path) -> str:
    file.seek(0)
    owner = parse_owner(file.read())
    away = bool(owner) and owner["host"] != socket.gethostname()
    silent = time.time() - os.fstat(file.fileno()).st_mtime
    refuse_living(str(path), owner, _is_held(file, owner if not away else {}), silent)
    text = json.dumps(me())
    file.truncate(0)
    file.write(text)
    file.flush()
    return text


def me() -> dict[str, Any]:
    """Return what the text of a lock says of this process; no two are equal."""
    job = os.environ.get("SLURM_JOB_ID", "none")
    again = os.environ.get("SLURM_RESTART_COUNT", "0")
    about = {"host": socket.gethostname(), "pid": os.getpid(), "slurm_job": job}
    return about | {"slurm_restart": again, "token": uuid4().hex}


def parse_owner(text: str) -> dict[str, Any]:
    """Read the owner from the text of a lock; empty if there is none."""
    try:
        owner = json.loads(text or "{}")
        return dict(owner) | {"host": str(owner["host"]), "pid": int(owner["pid"])}
    except (ValueError, KeyError, TypeError):
        return {}


def refuse_living(path: str, owner: dict[str, Any], held: bool, silent: float) -> None:
    """Refuse to take a lock whose owner lives, or may live on another machine.

    Raises
    ------
    HeldError
        Names host, process and SLURM job.
    """
    mine = me()
    if held:
        raise HeldError(
            f"{path}: another process writes here ({_spell(owner)}). "
            "Fix: wait for it to end, or stop it; two writers would lose data."
        )
    away = bool(owner) and owner["host"] != mine["host"]
    # a job that SLURM restarted on another machine may take over its own lock; one that runs on
    # several machines at a time may not
    again = (
        mine["slurm_job"] != "none"
        and owner.get("slurm_job") == mine["slurm_job"]
        and _number(owner.get("slurm_restart")) < _number(mine["slurm_restart"])
    )
    if away and not again and silent < SILENCE:
        host = printable(owner["host"])
        remove = path if path.startswith("s3://") else command("rm", Path(path))
        raise HeldError(
            f"{path}: the last writer ({_spell(owner)}) did not release this lock; it renewed "
            f"it {silent / 60:.0f} min ago, and kc on {mine['host']} cannot see "
            f"whether it still runs. Fix: make sure that it does not (on {host}: ps -p "
            f"{owner['pid']}; squeue), and remove the lock; after {SILENCE / 60:.0f} min without "
            f"renewal kc takes it over. To remove it: {remove}"
        )


def _number(text: Any) -> int:
    return int(text) if str(text).isdecimal() else 0


def _is_held(file: IO[str], owner: dict[str, Any]) -> bool:
    """Try the kernel's lock; if the file system has none, ask whether the owner lives."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return seems_alive(owner)
    return False


def seems_alive(owner: dict[str, Any]) -> bool:
    """Return whether the owner is a living process of this machine."""
    return bool(owner) and owner["host"] == socket.gethostname() and process_lives(owner["pid"])


def _spell(owner: dict[str, Any]) -> str:
    if not owner:
        return "unknown: it has not written its name yet"
    job = owner.get("slurm_job", "none")
    return printable(f"process {owner['pid']} on host {owner['host']}, SLURM job {job}")
