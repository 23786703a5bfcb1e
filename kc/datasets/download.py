"""Download of public archives over HTTP, resumed after an interruption and checked at the end.

Nothing is unpacked here, and nothing is downloaded unless the target ``download`` is requested. A
password or token in an address is used, but neither shown nor stored.
"""

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import requests
import urllib3

from kc.datasets.archive import check_whole
from kc.datasets.first_seen import first_seen, record_seen
from kc.errors import DownloadError, ImageError, without_secrets
from kc.files.aside import write_whole
from kc.files.checksum import differs
from kc.plans.commands import command, config_options

LOG = logging.getLogger(__name__)
BLOCK = 1 << 16
TIMEOUT = (20.0, 60.0)
"""Longest wait in seconds for an answer, and between two pieces."""
RETRIED = (408, 425, 429, 500, 502, 503, 504)
DOWNLOAD = command(
    *("snakemake", "--cores", "1", "download", "--configfile", "workflow/presets/paper.yaml"),
    *config_options({"data_root": "FOLDER"}),
)
"""Command that downloads the archives of the papers; FOLDER is a placeholder."""
_LOST = (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError)
"""The last one is raised while the raw bytes are read."""


class Wanted(NamedTuple):
    """One file to download."""

    url: str
    path: Path
    checksum: str | None = None
    """``sha256:...`` or ``md5:...``; None: that of the first download is recorded and required."""


class _LostError(DownloadError):
    """The connection broke, or the server asks to try again."""


def fetch_all(files: Sequence[Wanted], attempts: int = 5, pause: float = 2.0) -> None:
    """Download each missing file; check those that are there.

    Parameters
    ----------
    attempts
        Attempts without progress (64 KiB more than ever before) before giving up.
    pause
        Seconds before the second attempt; doubled for each further one.

    Raises
    ------
    DownloadError
        Nothing to download, no answer, no room, or an unexpected file.
    """
    if not files:
        raise DownloadError(
            f"no data set of these settings has both 'archive' and 'url'. Fix: {DOWNLOAD}"
        )
    for wanted in files:
        fetch(wanted, attempts, pause)


def fetch(wanted: Wanted, attempts: int = 5, pause: float = 2.0) -> None:
    """Download one file, resuming an earlier attempt. See :func:`fetch_all`."""
    path = wanted.path
    if path.is_dir():
        LOG.info("%s: an extracted folder, not changed", path)
        return
    with _disk(path):
        _fetch(wanted, attempts, pause)


def _fetch(wanted: Wanted, attempts: int, pause: float) -> None:
    url, path = wanted.url, wanted.path
    expected = wanted.checksum or first_seen(path).get(path.name, {}).get("checksum")
    if not path.is_file() and _get(wanted, expected, attempts, pause):
        if expected is None:
            record_seen(url, path)
        return
    if expected and (found := differs(path, expected)):
        raise DownloadError(
            f"{path}: is there already, but its checksum is {found}, expected {expected}. "
            "It was not changed. Fix: remove it to download it again, or correct the settings."
        )
    if not expected and (fault := _fault(path)):
        raise DownloadError(
            f"{path}: is there already, but {fault}. It was not changed. Fix: remove it to "
            "download it again, or put the complete file there."
        )
    LOG.info("%s: is there already", path)
    if expected is None:
        record_seen(url, path)


def _get(wanted: Wanted, expected: str | None, attempts: int, pause: float) -> bool:
    """Download a missing file; return False if another process just did.

    The partial file is locked until it is renamed: a second writer would truncate a checked file.
    """
    path = wanted.path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    _refuse_others_files(part)
    with _only_writer(part) as file:
        if path.is_file():
            if not part.stat().st_size:
                part.unlink()
            return False
        _until_whole(wanted, part, file, attempts, pause)
        _accept(wanted.url, part, path, expected)
    return True


def _until_whole(wanted: Wanted, part: Path, file: BinaryIO, attempts: int, pause: float) -> None:
    url, checked = wanted.url, wanted.checksum is not None
    without_progress, most = 0, part.stat().st_size
    while True:
        try:
            _go_on(url, part, file, checked)
            return
        except (*_LOST, _LostError) as error:
            # bytes that were discarded and sent again are no progress
            have = part.stat().st_size
            without_progress = 0 if have >= most + BLOCK else without_progress + 1
            most = max(most, have)
            if without_progress >= attempts:
                # without the first error: its text may hold the address with its password
                raise DownloadError(
                    f"{url}: given up after {attempts} attempts without progress ({error}). "
                    f"{part.stat().st_size:,} bytes are kept in {part}. "
                    "Fix: run the same command again, it resumes from there."
                ) from None
            LOG.warning("%s", without_secrets(f"{url}: {error}; trying again"))
            time.sleep(pause * 2 ** max(without_progress - 1, 0))
        # requests raises ValueErrors for unusual passwords and addresses
        except (requests.RequestException, ValueError) as error:
            raise DownloadError(
                f"{url}: cannot be downloaded ({type(error).__name__}): the address is invalid, "
                "redirects in a circle, or the answer is malformed. Fix: correct the data set's "
                "'url' (write special characters of a password as %XX), or download the file "
                f"yourself and put it at {part.with_suffix('')}."
            ) from None


def _go_on(url: str, part: Path, file: BinaryIO, checked: bool) -> None:
    """Request the missing bytes; start again if the server sends the complete file."""
    have, validator = part.stat().st_size, _validator(part, url)
    headers = {"Accept-Encoding": "identity"}
    if have and validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        begin = _begin(answer, have, None if checked else validator)
        if answer.status_code == 416 and answer.headers.get("Content-Range") == f"bytes */{have}":
            return
        if begin is None:
            file.truncate(0)
            raise _LostError(f"status {answer.status_code}, not for the bytes that were requested")
        if answer.status_code >= 400:
            raise DownloadError(
                f"{url}: the server answers {answer.status_code} {answer.reason}. Fix: correct the "
                f"data set's 'url', or download it yourself and put it at {part.with_suffix('')}"
            )
        file.truncate(begin)
        if not begin:
            _remember(part, url, answer)
        # not decoded: servers set Content-Encoding for archives that are compressed themselves
        for block in answer.raw.stream(BLOCK, decode_content=False):
            file.write(block)
            file.flush()
        if answer.raw.length_remaining:
            raise _LostError(f"the connection ended after {part.stat().st_size:,} bytes")
        # then only the file itself shows whether it is complete
        unknown = answer.raw.length_remaining is None and not answer.raw.chunked
        if unknown and not checked and (fault := _fault(part)):
            raise _LostError(f"its length is unknown, and the file is not complete: {fault}")


def _begin(answer: requests.Response, have: int, validator: str | None) -> int | None:
    """Return the position of an answer's first byte in the file; None: start again from 0.

    ``validator`` is the tag that a piece must have if there is no checksum to check the file by.
    """
    if answer.status_code == 206:
        there = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        tag = answer.headers.get("ETag")
        same = not (tag and validator and validator.startswith('"')) or tag == validator
        return have if there and same else None
    if answer.status_code == 416:
        return None
    if answer.status_code in RETRIED:
        raise _LostError(f"the server answers {answer.status_code} {answer.reason}")
    return 0


def _state(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _refuse_others_files(part: Path) -> None:
    """Refuse to overwrite a file of another program: a browser's ``.part``, a link.

    A download of kc has its state in a second file from the first byte on.
    """
    begun = part.is_file() and part.stat().st_size == 0
    linked = any(file.is_symlink() for file in (part, _state(part)))
    strange = part.exists() and not begun and not _about(part)
    if linked or strange or (_state(part).exists() and not _about(part)):
        raise DownloadError(
            f"{part}: kc did not begin this download and would overwrite it. It was not changed. "
            f"Fix: move it (and {_state(part).name}) away, or finish it by hand as "
            f"{part.with_suffix('')}."
        )


def _about(part: Path) -> dict[str, Any]:
    """Read the state of a partial download; without an address if it is damaged."""
    try:
        kept = json.loads(_state(part).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        return {"url": None, "validator": None}
    return kept if isinstance(kept, dict) and {"url", "validator"} <= set(kept) else {}


def _validator(part: Path, url: str) -> str | None:
    """Return the tag by which the server can tell whether its file changed."""
    kept = _about(part)
    if kept.get("url") != without_secrets(url):
        return None
    validator = kept["validator"]
    sendable = isinstance(validator, str) and validator.isascii() and validator.isprintable()
    return validator.strip() or None if sendable else None


def _remember(part: Path, url: str, answer: requests.Response) -> None:
    tag = answer.headers.get("ETag", "")
    # a weak tag does not guarantee the same bytes
    strong = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")
    about = {"url": without_secrets(url), "validator": strong}
    write_whole(_state(part), json.dumps(about).encode())


def _accept(url: str, part: Path, path: Path, expected: str | None) -> None:
    """Rename a correct file to its final name, or move a wrong one aside."""
    if expected is not None:
        found = differs(part, expected)
        fault = f"its checksum is {found}, expected {expected}" if found else ""
    else:
        fault = _fault(part)
    if fault:
        names = (f"{path.name}.refused{number}" for number in ("", *range(2, 1000)))
        aside = next(each for each in map(path.with_name, names) if not os.path.lexists(each))
        part.replace(aside)
        _state(part).unlink(missing_ok=True)
        raise DownloadError(
            f"{url}: not the file that was requested: {fault}. It was not unpacked, but moved to "
            f"{aside}. Fix: if it is truncated, run the same command again; else look at it, and "
            "correct 'url' or the checksum in the settings."
        )
    part.replace(path)
    # last: without it kc would not recognise a complete .part as its own
    _state(part).unlink(missing_ok=True)
    LOG.info("%s: downloaded from %s, %d bytes", path, without_secrets(url), path.stat().st_size)


def _fault(path: Path) -> str:
    """Describe what is wrong with an archive of unknown checksum; empty: it is complete.

    If the checksum of a truncated one were recorded, the complete one would be refused later.
    """
    try:
        check_whole(path)
    except ImageError as error:
        return f"{error}".partition(" Fix: ")[0].removeprefix(f"{path}: ").removesuffix(".")
    return ""


@contextmanager
def _only_writer(part: Path) -> Iterator[BinaryIO]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    while True:
        with open(part, "ab", opener=lambda name, _: os.open(name, flags, 0o666)) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DownloadError(
                    f"{part}: another process is downloading it. Fix: wait for it, or stop it."
                ) from None
            # renamed between the two calls: it is now a checked file of another process
            if part.exists() and os.path.samestat(part.stat(), os.fstat(file.fileno())):
                yield file
                return


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"{path}: cannot be written ({error.strerror}: {error.filename or path}). What came is "
            "kept. Fix: make room or choose another 'data_root', and run the same command again."
        ) from error
