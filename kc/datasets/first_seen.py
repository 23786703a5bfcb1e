"""Checksums of archives of which none was known: that of the file first seen is kept to."""

import fcntl
import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kc.errors import DownloadError, without_secrets
from kc.files.aside import write_whole
from kc.files.checksum import PATTERN, checksum_of

LOG = logging.getLogger(__name__)
SEEN = "checksums.json"
"""Beside archives without a known checksum: those of the files that came first."""


def first_seen(path: Path) -> dict[str, dict[str, str]]:
    """Read the checksums first seen of the files beside ``path``, by their names.

    Raises
    ------
    DownloadError
        The list of them is damaged.
    """
    kept = path.with_name(SEEN)
    if not kept.is_file():
        return {}
    try:
        about: dict[str, dict[str, str]] = json.loads(kept.read_text(encoding="utf-8"))
        if not isinstance(about, dict):
            fault = "no table of names"
        elif all(re.match(PATTERN, each["checksum"]) for each in about.values()):
            return about
        else:
            fault = "a checksum is none"
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        fault = repr(error)
    raise DownloadError(f"{kept}: not readable ({fault}). Fix: mend or remove it.")


def record_seen(url: str, path: Path) -> None:
    """Trust on first use: keep the checksum of what came, for the next time and for others."""
    kept = path.with_name(SEEN)
    found = {"checksum": checksum_of(path), "url": without_secrets(url)}
    with _alone_in(path.parent):
        about = json.dumps(first_seen(path) | {path.name: found}, indent=2, sort_keys=True)
        write_whole(kept, f"{about}\n".encode())
    LOG.warning(
        "%s: no checksum of it is known; the first one seen is taken on trust: %s (kept in %s). "
        "Compare it with somebody else's.",
        *(path, found["checksum"], kept),
    )


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait for others who add to the folder's list: what they add would be lost."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # NFS locks no folders
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)
