"""Trust on first use: checksums of archives whose checksum was not known before."""

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
"""File next to the archives, with the checksums of their first downloads."""


def first_seen(path: Path) -> dict[str, dict[str, str]]:
    """Read the recorded checksums of the files in the folder of ``path``, by name.

    Raises
    ------
    DownloadError
        The file of checksums is damaged.
    """
    kept = path.with_name(SEEN)
    if not kept.is_file():
        return {}
    try:
        about: dict[str, dict[str, str]] = json.loads(kept.read_text(encoding="utf-8"))
        if not isinstance(about, dict):
            fault = "not a table of names"
        elif all(re.match(PATTERN, each["checksum"]) for each in about.values()):
            return about
        else:
            fault = "an invalid checksum"
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        fault = repr(error)
    raise DownloadError(f"{kept}: not readable ({fault}). Fix: correct or remove it.")


def record_seen(url: str, path: Path) -> None:
    """Record the checksum of a file that was downloaded for the first time."""
    kept = path.with_name(SEEN)
    found = {"checksum": checksum_of(path), "url": without_secrets(url)}
    with _alone_in(path.parent):
        about = json.dumps(first_seen(path) | {path.name: found}, indent=2, sort_keys=True)
        write_whole(kept, f"{about}\n".encode())
    LOG.warning(
        "%s: its checksum is not known in advance; %s is recorded in %s and expected from now on. "
        "Compare it with another source.",
        *(path, found["checksum"], kept),
    )


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, so that no entry of another process is lost."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # NFS locks no folders
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)
