"""Digests of the user's files and folders; only files that changed are read again.

A record keeps size, times of change, inode and digest of every file, so that unchanged files are
not read again. A file that changed less than two seconds before it was read is not recorded: a
second change within the same clock tick could not be seen.
"""

import hashlib
import json
import os
import re
import stat
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from kc.errors import SourceError, StoreError
from kc.files.aside import write_whole
from kc.progress import progress_bar

FOLDER = "sources"
"""Folder of the records in a results folder."""
SETTLED_NS = 2_000_000_000
"""Nanoseconds after which another change is visible in a file's times."""
FORMAT = 1


class _File(NamedTuple):
    """A file, and the stamp by which a change is seen."""

    path: str
    stamp: tuple[int, int, int, int]
    """Size, time of the last write, time of the last change, inode."""


@dataclass(frozen=True)
class Source:
    """Files and folders of the user, with the digest they had when work on them began."""

    paths: tuple[Path, ...]
    digest: str
    records: Path | None = None

    @classmethod
    def of(cls, *paths: Path, records: Path | None = None) -> "Source":
        """Compute the digest of some paths with :func:`digest_of`."""
        return cls(paths, digest_of(paths, records), records)

    def about(self) -> dict[str, Any]:
        """Return paths and digest for a manifest."""
        return {"paths": [str(path.absolute()) for path in self.paths], "digest": self.digest}

    def check(self) -> None:
        """Check that the files still have this digest.

        Raises
        ------
        SourceError
            They changed.
        """
        if digest_of(self.paths, self.records) != self.digest:
            raise SourceError(
                f"{spell(self.paths)}: changed while it was read, so what was made matches neither "
                "state. Fix: wait until nothing writes there, and run the same command again."
            )


def digest_of(paths: Sequence[Path], records: Path | None = None) -> str:
    """Return the digest of files and folders by content and relative name.

    Parameters
    ----------
    paths
        Files of any name; of folders all files below them except hidden ones, with links
        followed.
    records
        Folder of the records. None: read everything.

    Returns
    -------
    str
        For a single file, the xxh3_128 digest of its bytes. If a path is missing, the digest that
        was recorded last; empty without a record.

    Raises
    ------
    SourceError
        A file cannot be read, or changes while it is read.
    """
    record = None if records is None else records / _record_name(paths)
    known = {} if record is None else _read_record(record)
    if not all(map(os.path.exists, paths)):
        return str(known.get("digest", ""))
    files = dict(_listed(paths))
    found, settled = _digests(files, known.get("files", {}), spell(paths))
    digest = _joined(found) if len(paths) > 1 or paths[0].is_dir() else found[""]
    if record is not None and (settled != known.get("files") or digest != known.get("digest")):
        about = {"format": FORMAT, "paths": [str(path.absolute()) for path in paths]}
        _write_record(record, about | {"digest": digest, "files": settled})
    return digest


def spell(paths: Sequence[Path]) -> str:
    """Format paths for a message."""
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{paths[0]}{more}"


def names_under(folder: Path, left_out: Counter[str] | None = None) -> list[str]:
    """List the files below a folder, sorted, without hidden ones; links are followed once.

    ``left_out`` counts the files that are not listed, by reason.
    """
    found = _under(os.fspath(folder), frozenset(), Counter() if left_out is None else left_out)
    return sorted(name for name, _ in found)


def _listed(paths: Sequence[Path]) -> Iterator[tuple[str, _File]]:
    """Return the files with the names under which they are hashed."""
    around = paths[0].absolute().parent
    for path in paths:
        top = os.path.relpath(path.absolute(), around) if len(paths) > 1 else ""
        if path.is_dir():
            for name, file in _under(os.fspath(path), frozenset(), Counter()):
                yield f"{top}/{name}" if top else name, file
        else:
            yield top, _File(os.fspath(path), _stamp(path.stat()))


def _under(
    folder: str, around: frozenset[tuple[int, int]], left_out: Counter[str]
) -> Iterator[tuple[str, _File]]:
    """List the files below a folder; a link back to a folder around it is not followed."""
    try:
        about = Path(folder).stat()
        here = (about.st_dev, about.st_ino)
        if here in around:
            left_out["links back to a folder around them"] += 1
            return
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.name.startswith("."):
                left_out["hidden"] += 1
            # first, since a link to itself raises an error in all other checks
            elif entry.is_symlink() and not os.path.exists(entry.path):  # noqa: PTH110
                left_out["links that lead nowhere"] += 1
            elif entry.is_dir():
                for name, file in _under(entry.path, around | {here}, left_out):
                    yield f"{entry.name}/{name}", file
            elif entry.is_file():
                yield entry.name, _File(entry.path, _stamp(entry.stat()))
            else:
                left_out["pipes, sockets and devices"] += 1
    except OSError as error:
        raise SourceError(f"{folder}: cannot be read: {error.strerror}.") from error


def _stamp(about: os.stat_result) -> tuple[int, int, int, int]:
    return about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino


def _digests(
    files: Mapping[str, _File], known: Mapping[str, Sequence[Any]], what: str
) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """Return the digest of each file and what to record; read files that are not recorded."""
    stand = {name for name, file in files.items() if tuple(known.get(name, ())[:4]) == file.stamp}
    settled = {name: list(known[name]) for name in stand}
    found = {name: str(known[name][4]) for name in stand}
    moved = {name: file for name, file in files.items() if name not in stand}
    total = sum(file.stamp[0] for file in moved.values())
    with progress_bar(total=total, desc=f"check {what}", unit="B", unit_scale=True) as bar:
        for name, file in moved.items():
            begun = time.time_ns()
            found[name] = _read(file)
            if file.stamp[2] + SETTLED_NS <= begun:
                settled[name] = [*file.stamp, found[name]]
            bar.update(file.stamp[0])
    return found, dict(sorted(settled.items()))


def _read(file: _File) -> str:
    try:
        with Path(file.path).open("rb", buffering=0) as opened:
            before = os.fstat(opened.fileno())
            digest = hashlib.file_digest(opened, xxhash.xxh3_128)
            after = os.fstat(opened.fileno())
    except OSError as error:
        raise SourceError(f"{file.path}: cannot be read: {error.strerror}.") from error
    if not _stamp(before) == _stamp(after) == file.stamp or not stat.S_ISREG(after.st_mode):
        raise SourceError(
            f"{file.path}: changed while it was read. Fix: wait until nothing writes there, and "
            "run the same command again."
        )
    return digest.hexdigest()


def _joined(digests: Mapping[str, str]) -> str:
    total = hashlib.sha256()
    for name, digest in sorted(digests.items()):
        total.update(os.fsencode(name) + b"\0" + digest.encode() + b"\n")
    return total.hexdigest()[:32]


def _record_name(paths: Sequence[Path]) -> str:
    """Name a record by the first path only: the others may depend on its content."""
    first = paths[0].absolute()
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", first.name)[:60]
    return f"{plain}-{hashlib.sha256(os.fsencode(first)).hexdigest()[:8]}.json"


def is_record(file: Path) -> bool:
    """Return whether a file is an undamaged record."""
    body, _, checksum = file.read_bytes().rpartition(b"\n")
    return xxhash.xxh3_128_hexdigest(body).encode() == checksum


def _read_record(file: Path) -> dict[str, Any]:
    """Read a record; empty if it is missing, damaged or of another format."""
    try:
        found = json.loads(file.read_bytes().rpartition(b"\n")[0]) if is_record(file) else {}
    except (OSError, ValueError):
        return {}
    return dict(found) if found.get("format") == FORMAT else {}


def _write_record(file: Path, content: Mapping[str, Any]) -> None:
    """Write a record; if that is not possible, all files are read again next time."""
    body = json.dumps(content).encode()
    with suppress(OSError, StoreError):
        write_whole(file, body + b"\n" + xxhash.xxh3_128_hexdigest(body).encode())
