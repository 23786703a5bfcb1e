"""The errors a user can cause or meet: each says what, where, expected, got and the fix.

No message shows what is secret in an address, nor what a terminal would obey; logs, tables and
pages are spelled by the same functions. How a command or a script ends on an error is said by
:func:`ending` alone.
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
"""Variable that has the trace of a fault of ours shown at once."""
LONGEST_LINE = 300
"""Characters of another's message that are repeated."""
# lengths are bounded, so that no text takes long
_SCHEME = r"\b[A-Za-z][A-Za-z0-9+.-]{0,15}://"
_REST = r"""(?:[^\s'"<>]|['"](?![\s,.;:)\]}>]|$))"""
"""Of an address in a sentence: a quote behind it ends it."""
# a password may hold what ought to be escaped: then no port follows the colon
_USER = re.compile(
    rf"({_SCHEME})(?:[^\s/?#]{{0,999}}@"
    rf"|[^\s/?#@:]{{0,99}}:(?!\d{{1,5}}(?:[/?#\s'\"<>)]|$)){_REST}{{0,999}}@)"
)
_QUERY = re.compile(rf"({_SCHEME}[^\s?#'\"<>]{{0,2000}}[?#]){_REST}+")
# of an address that is told without its host, as urllib3 does
_BARE_QUERY = re.compile(
    rf"(\burl: [^\s?]{{0,2000}}\?|[^\s?#'\"<>]\?(?=[A-Za-z0-9_.~%-]{{1,99}}=)){_REST}+"
)


def without_secrets(text: str) -> str:
    """Hide users, passwords, queries and fragments of all addresses in a text.

    >>> without_secrets("https://me:hunter2@host/a.tgz?token=abc is to be had")
    'https://***@host/a.tgz?*** is to be had'
    """
    if "://" not in text and "?" not in text:
        return text
    found = _USER.sub(rf"\1{HIDDEN}@", text)
    for pattern in (_QUERY, _BARE_QUERY):
        found = pattern.sub(rf"\1{HIDDEN}", found)
    return found


# controls, what turns the direction of writing or takes no place, ends of lines, halves of letters;
# joiners (200c, 200d) stay: words and pictures are written with them
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\ud800-\udfff]"
)


def printable(text: str, keep: str = "") -> str:
    r"""Format what a terminal would obey or a reader not see as an escape; ``keep`` stays.

    >>> printable("a\x1b[31mb\nc")
    'a\\x1b[31mb\\nc'
    """
    return _UNSEEN.sub(
        lambda found: found[0] if found[0] in keep else found[0].encode("unicode_escape").decode(),
        text,
    )


def _told(text: str) -> str:
    """Format a text of several lines for people."""
    return printable(without_secrets(text), keep="\n\t")


class PlainFormatter(logging.Formatter):
    """Lines of a log, without secrets, and without what a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        return _told(super().format(record))


class KCError(Exception):
    """Anything the user can mend. A traceback that is not a ``KCError`` is a bug of ours.

    No message shows a password or a token of an address, or holds a control character.
    """

    def __init__(self, *about: object) -> None:
        super().__init__(*(_told(a) if isinstance(a, str) else a for a in about))


class SettingsError(KCError):
    """A setting that is unknown, of the wrong type, or cannot be used with another."""


class ImageError(KCError):
    """An archive, a list or an image that cannot be read as its layout promises."""


class SourceError(KCError):
    """Files of the user's that cannot be read, or changed while they were."""


class DownloadError(KCError):
    """An archive that could not be fetched whole, or is not the one expected."""


class NetworkError(KCError):
    """An unknown network or node, or weights that do not fit."""


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
    """What the user reads; empty: nothing."""
    code: int
    """2: the user can mend it; 3: a fault of kc; 130: interrupted; 141: nobody reads on."""


def ending(error: BaseException, log: Path | None = None) -> Ending:
    """Return the message and exit code of an error that nothing else caught.

    Of a fault of ours it is one line, with the place in kc and that of the whole trace: ``log``,
    which has it already, or a new file among the system's temporary ones.
    """
    if isinstance(error, KCError):
        return Ending(f"{type(error).__name__}: {_told(str(error))}", 2)
    if isinstance(error, KeyboardInterrupt):
        return Ending("interrupted; the same command again goes on from what is whole", 130)
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
    """Return whether memory ran out; torch has names of its own for it, and is not imported."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error))
    )


def _is_unread() -> bool:
    """Return whether nobody reads what is printed any more (``kc ... | head``)."""
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
    """Write a trace to a new file; return its path, None where that cannot be."""
    about = f"python {platform.python_version()}, {platform.platform()}\n{_told(repr(sys.argv))}\n"
    try:
        number, path = tempfile.mkstemp(prefix="kc-fault-", suffix=".txt")
        with open(number, "w", encoding="utf-8") as file:  # noqa: PTH123 (a descriptor)
            file.write(about + trace)
    except OSError:
        return None
    return Path(path)
