"""The errors of kc: each says what went wrong, where, what was expected and got, and the fix.

No message shows a secret of an address or a control character; logs, tables and pages use the same
functions. :func:`ending` decides how a command or script ends on an error.
"""

import errno
import logging
import os
import platform
import re
import select
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

HIDDEN = "***"
DEBUG = "KC_DEBUG"
"""Variable that makes kc print the trace of its own faults."""
LONGEST_LINE = 300
"""Characters that are repeated of messages of other programs."""
# bounded lengths keep the search fast on any text
_SCHEME = r"\b[A-Za-z][A-Za-z0-9+.-]{0,15}://"
_REST = r"""(?:[^\s'"<>]|['"](?![\s,.;:)\]}>]|$))"""
"""A character of an address in a sentence: a quote after the address ends it."""
# a password may have characters that should be escaped: then no port follows the colon
_USER = re.compile(
    rf"({_SCHEME})(?:[^\s/?#]{{0,999}}@"
    rf"|[^\s/?#@:]{{0,99}}:(?!\d{{1,5}}(?:[/?#\s'\"<>)]|$)){_REST}{{0,999}}@)"
)
_QUERY = re.compile(rf"({_SCHEME}[^\s?#'\"<>]{{0,2000}}[?#]){_REST}+")
# an address without its host, as in messages of urllib3
_BARE_QUERY = re.compile(
    rf"(\burl: [^\s?]{{0,2000}}\?|[^\s?#'\"<>]\?(?=[A-Za-z0-9_.~%-]{{1,99}}=)){_REST}+"
)


def without_secrets(text: str) -> str:
    """Hide users, passwords, queries and fragments of all addresses in a text.

    >>> without_secrets("https://me:hunter2@host/a.tgz?token=abc is missing")
    'https://***@host/a.tgz?*** is missing'
    """
    if "://" not in text and "?" not in text:
        return text
    found = _USER.sub(rf"\1{HIDDEN}@", text)
    for pattern in (_QUERY, _BARE_QUERY):
        found = pattern.sub(rf"\1{HIDDEN}", found)
    return found


# control, direction and zero-width characters, line ends, surrogates; joiners (200c, 200d) stay,
# since words and emoji need them
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\ud800-\udfff]"
)


def printable(text: str, keep: str = "") -> str:
    r"""Escape characters that control a terminal or are invisible, except those in ``keep``.

    >>> printable("a\x1b[31mb\nc")
    'a\\x1b[31mb\\nc'
    """
    return _UNSEEN.sub(
        lambda found: found[0] if found[0] in keep else found[0].encode("unicode_escape").decode(),
        text,
    )


def _told(text: str) -> str:
    """Remove secrets and control characters from a text of several lines."""
    return printable(without_secrets(text), keep="\n\t")


class PlainFormatter(logging.Formatter):
    """Log lines without secrets and control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        return _told(super().format(record))


class KCError(Exception):
    """An error that the user can fix; any other exception is a bug of kc.

    Messages show no password or token of an address, and no control character.
    """

    def __init__(self, *about: object) -> None:
        super().__init__(*(_told(a) if isinstance(a, str) else a for a in about))


class SettingsError(KCError):
    """A setting that is unknown, of the wrong type, or cannot be used with another."""


class ImageError(KCError):
    """An archive, a list or an image that is not as its layout requires."""


class SourceError(KCError):
    """Files of the user that cannot be read, or changed while they were read."""


class DownloadError(KCError):
    """An archive that could not be downloaded completely, or is not the expected one."""


class NetworkError(KCError):
    """An unknown network or layer, or weights that do not fit."""


class StoreError(KCError):
    """A store that is damaged, incomplete, locked, or does not match another."""


class FeatureError(KCError):
    """Features that g cannot work with: wrong shapes, not finite, too few."""


class DeviceError(KCError):
    """A device was asked for that this machine does not have."""


class RoomError(KCError):
    """A disk that is too small for what was asked."""


class Ending(NamedTuple):
    """How a command or a script ends."""

    told: str
    """Message for the user; may be empty."""
    code: int
    """2: the user can fix it; 3: a fault of kc; 130: interrupted; 141: the output was closed."""


def ending(error: BaseException, log: Path | None = None) -> Ending:
    """Return the message and exit code of an error that nothing else caught.

    For a fault of kc the message is one line, with the place in kc and the file of the trace:
    ``log``, which has it already, or a new temporary file.
    """
    if isinstance(error, KCError):
        return Ending(f"{type(error).__name__}: {_told(str(error))}", 2)
    if isinstance(error, KeyboardInterrupt):
        return Ending("interrupted; the same command again continues from what is complete", 130)
    if isinstance(error, BrokenPipeError) and _is_unread():
        return Ending("", 141)
    what = _told(" ".join("".join(traceback.format_exception_only(error)).split()))[:LONGEST_LINE]
    if _is_memory(error):
        return Ending(
            f"{what}: out of memory. Fix: end other programs or take a larger machine (on a "
            "cluster: mem_mb in the settings), or ask for less: smaller pictures (--size), a "
            "smaller --rank, fewer layers at a time; of a GPU's memory, --device cpu.",
            2,
        )
    trace = _told("".join(traceback.format_exception(error)))
    where = log or _kept(trace)
    shown = f"\n{trace}" if where is None or os.environ.get(DEBUG) else ""
    return Ending(
        f"{what} (at {_place(error)}). This is a fault of kc, not of yours. Fix: report it "
        f"together with its trace, {where or 'below'}{shown}",
        3,
    )


def _is_memory(error: BaseException) -> bool:
    """Return whether memory ran out; errors of torch are recognised without importing it."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error))
    )


def _is_unread() -> bool:
    """Return whether standard output or error was closed by its reader (``kc ... | head``)."""
    watch = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed, or no file
            watch.register(stream.fileno(), 0)
    return bool(watch.poll(0))


def _place(error: BaseException) -> str:
    """Return file and line of the innermost frame in kc."""
    root = Path(__file__).parent
    found = "outside kc"
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(root):
            found = f"{file.relative_to(root.parent)}:{line}"
    return found


def _kept(trace: str) -> Path | None:
    """Write a trace to a new file; return its path, or None if that fails."""
    about = f"python {platform.python_version()}, {platform.platform()}\n{_told(repr(sys.argv))}\n"
    try:
        number, path = tempfile.mkstemp(prefix="kc-fault-", suffix=".txt")
        with open(number, "w", encoding="utf-8") as file:  # noqa: PTH123 (a descriptor)
            file.write(about + trace)
    except OSError:
        return None
    return Path(path)
