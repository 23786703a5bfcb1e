"""Public archives over HTTP: gone on with after a cut, checked before they get their name.

Nothing is ever unpacked here, and nothing is fetched unless the target ``download`` is asked for.
A password or token in an address is used, and neither shown nor kept.
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
"""Seconds until a server answers, and between two pieces."""
RETRIED = (408, 425, 429, 500, 502, 503, 504)
DOWNLOAD = command(
    *("snakemake", "--cores", "1", "download", "--configfile", "workflow/presets/paper.yaml"),
    *config_options({"data_root": "FOLDER"}),
)
"""What fetches the archives of the papers; FOLDER is to be filled in."""
_LOST = (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError)
"""The last one comes from the bytes, which are taken as they are sent."""


class Wanted(NamedTuple):
    """One file to fetch."""

    url: str
    path: Path
    checksum: str | None = None
    """``sha256:...`` or ``md5:...``; none: that of the file first seen is recorded and kept to."""


class _LostError(DownloadError):
    """The connection broke, or the server asks to come again."""


def fetch_all(files: Sequence[Wanted], attempts: int = 5, pause: float = 2.0) -> None:
    """Fetch each file that is not there; check those that are.

    Parameters
    ----------
    attempts
        Without progress (64 KiB more than ever before), before it is given up; what came is kept.
    pause
        Seconds before the second attempt, doubled before each further one.

    Raises
    ------
    DownloadError
        Nothing to fetch, no answer, no room, or a file that is not the one expected.
    """
    if not files:
        raise DownloadError(
            f"no data set of these settings has both 'archive' and 'url'. Fix: {DOWNLOAD}"
        )
    for wanted in files:
        fetch(wanted, attempts, pause)


def fetch(wanted: Wanted, attempts: int = 5, pause: float = 2.0) -> None:
    """Fetch one file, going on where an earlier attempt stopped. See :func:`fetch_all`."""
    path = wanted.path
    if path.is_dir():
        LOG.info("%s: an extracted folder, left as it is", path)
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
            "It was left as it is. Fix: remove it to have it fetched, or mend the settings."
        )
    if not expected and (fault := _fault(path)):
        raise DownloadError(
            f"{path}: is there already, but {fault}. It was left as it is. Fix: remove it to "
            "have it fetched, or put the whole file there."
        )
    LOG.info("%s: there already", path)
    if expected is None:
        record_seen(url, path)


def _get(wanted: Wanted, expected: str | None, attempts: int, pause: float) -> bool:
    """Fetch a file that is not there; give False where another process just did.

    The part is held until the file has its name: a second writer would cut what was checked.
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
            # more than ever before: what is thrown away and comes again is none
            have = part.stat().st_size
            without_progress = 0 if have >= most + BLOCK else without_progress + 1
            most = max(most, have)
            if without_progress >= attempts:
                # the first error is left out: its text may hold the address as it was given
                raise DownloadError(
                    f"{url}: given up after {attempts} attempts without progress ({error}). "
                    f"{part.stat().st_size:,} bytes are kept in {part}. "
                    "Fix: run the same command again, it goes on from there."
                ) from None
            LOG.warning("%s", without_secrets(f"{url}: {error}; going on"))
            time.sleep(pause * 2 ** max(without_progress - 1, 0))
        # requests lets the ValueErrors of odd passwords and addresses through
        except (requests.RequestException, ValueError) as error:
            raise DownloadError(
                f"{url}: cannot be fetched ({type(error).__name__}): no address of http, one that "
                "leads to none or in a circle, or an answer that makes no sense. Fix: mend the "
                "data set's 'url' (odd letters of a password are spelled %XX), or fetch the file "
                f"yourself and put it at {part.with_suffix('')}."
            ) from None


def _go_on(url: str, part: Path, file: BinaryIO, checked: bool) -> None:
    """Ask for what is missing; a server that sends the whole file starts it anew."""
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
            raise _LostError(f"status {answer.status_code}, and not of the bytes asked for")
        if answer.status_code >= 400:
            raise DownloadError(
                f"{url}: the server answers {answer.status_code} {answer.reason}. Fix: mend the "
                f"data set's 'url', or fetch the file yourself and put it at {part.with_suffix('')}"
            )
        file.truncate(begin)
        if not begin:
            _remember(part, url, answer)
        # not unpacked, whatever Content-Encoding says: servers call archives so that are packed
        for block in answer.raw.stream(BLOCK, decode_content=False):
            file.write(block)
            file.flush()
        if answer.raw.length_remaining:
            raise _LostError(f"the connection ended after {part.stat().st_size:,} bytes")
        # nothing but the file itself tells then whether it came whole
        untold = answer.raw.length_remaining is None and not answer.raw.chunked
        if untold and not checked and (fault := _fault(part)):
            raise _LostError(f"its length was not told, and what came is no whole file: {fault}")


def _begin(answer: requests.Response, have: int, validator: str | None) -> int | None:
    """Return the place an answer's first byte belongs to; none: come again, from the start.

    ``validator``: tag that a piece has to have, where no checksum will tell what it was a piece of.
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
    """Refuse to write where something lies that is no part of this: a browser's ``.part``, a link.

    What is begun here has its state beside it from its first byte on.
    """
    begun = part.is_file() and part.stat().st_size == 0
    linked = any(file.is_symlink() for file in (part, _state(part)))
    strange = part.exists() and not begun and not _about(part)
    if linked or strange or (_state(part).exists() and not _about(part)):
        raise DownloadError(
            f"{part}: kc did not begin this download, and would write over it. It was left as it "
            f"is. Fix: move it (and {_state(part).name}) away, or finish it by hand as "
            f"{part.with_suffix('')}."
        )


def _about(part: Path) -> dict[str, Any]:
    """Read what is kept of a part; one that is damaged is still ours, and of no server's file."""
    try:
        kept = json.loads(_state(part).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        return {"url": None, "validator": None}
    return kept if isinstance(kept, dict) and {"url", "validator"} <= set(kept) else {}


def _validator(part: Path, url: str) -> str | None:
    """Return what tells that the server's file is still the one the part is of."""
    kept = _about(part)
    if kept.get("url") != without_secrets(url):
        return None
    validator = kept["validator"]
    sendable = isinstance(validator, str) and validator.isascii() and validator.isprintable()
    return validator.strip() or None if sendable else None


def _remember(part: Path, url: str, answer: requests.Response) -> None:
    tag = answer.headers.get("ETag", "")
    # a weak tag does not promise the same bytes
    strong = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")
    about = {"url": without_secrets(url), "validator": strong}
    write_whole(_state(part), json.dumps(about).encode())


def _accept(url: str, part: Path, path: Path, expected: str | None) -> None:
    """Rename a complete file to its name, or move a wrong one aside."""
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
            f"{url}: not the file that was asked for: {fault}. Nothing of it was unpacked; it was "
            f"moved to {aside}. Fix: where it is cut, run the same command again; else look "
            "at it, and mend 'url' or the checksum in the settings."
        )
    part.replace(path)
    # last: without it a whole part would not be known as begun here
    _state(part).unlink(missing_ok=True)
    LOG.info("%s: fetched from %s, %d bytes", path, without_secrets(url), path.stat().st_size)


def _fault(path: Path) -> str:
    """Describe what is wrong with an archive of unknown checksum; empty: it reads to its end.

    Once the checksum of one that was cut were kept, the whole one would be refused.
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
                    f"{part}: another process is fetching it. Fix: wait for it to end, or stop it."
                ) from None
            # one that was renamed between the two is somebody's checked file
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
