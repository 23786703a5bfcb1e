"""Compare two folders, and find the wrong files that an unfinished folder presents as good."""

import json
import re
from pathlib import Path
from typing import Any

from kc.errors import StoreError
from kc.files.made import MADE
from kc.files.sources import FOLDER
from kc.store.files import CHECKSUM, file_digest, read_signed
from kc.store.ownership import LEDGER
from kc.store.product import SEALS

WALL_TIME = frozenset({"seconds"})
"""Fields of cards, and of the provenance of tables, that hold wall time. Only these, and the
checksum of their file, differ between two equal runs."""


def files(folder: Path) -> dict[str, bytes]:
    """Read every file below a folder in comparable form, except records of times."""
    return {
        path.relative_to(folder).as_posix(): comparable(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent.name != FOLDER
    }


def differences(found: dict[str, bytes], expected: dict[str, bytes]) -> list[str]:
    """List the files that differ, or exist on one side only."""
    names = sorted(set(found) | set(expected))
    return [name for name in names if found.get(name) != expected.get(name)]


def comparable(path: Path) -> bytes:
    """Return the bytes of a file, without wall time."""
    content = path.read_bytes()
    if MADE in path.parts:
        return _without_origins(content)
    if path.suffix == ".html":
        return re.sub(rb"<dt>seconds</dt>\s*<dd>.*?</dd>", b"", content)
    if path.suffix != ".json" or not any(f'"{n}"'.encode() in content for n in WALL_TIME):
        return content
    return json.dumps(_timeless(json.loads(content)), sort_keys=True).encode()


def _without_origins(note: bytes) -> bytes:
    """Remove digests of provenance and pages, which hold wall time; the files are compared."""
    try:
        about = json.loads(note)
        kept = {k: v for k, v in about["files"].items() if not k.endswith((".json", ".html"))}
    except (ValueError, KeyError):
        return note
    if kept == about["files"]:
        return note
    about.pop(CHECKSUM, None)
    return json.dumps(about | {"files": kept}, sort_keys=True).encode()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        left = {k: _timeless(v) for k, v in value.items() if k not in WALL_TIME}
        return {k: v for k, v in left.items() if k != CHECKSUM} if left != value else left
    return [_timeless(part) for part in value] if isinstance(value, list) else value


def believed_and_wrong(folder: Path, expected: dict[str, bytes]) -> list[str]:
    """List the wrong files of an unfinished folder that a reader would accept.

    A reader accepts signed files with a valid checksum, shards whose valid receipt has their
    digest, files with a valid seal, and every file with the name of a table or figure.
    """
    wrong = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or path.name.startswith("."):
            continue
        if path.name == SEALS:
            wrong += _wrong_sealed(path, folder, expected)
        elif _is_believed(path) and comparable(path) != expected.get(name):
            wrong.append(name)
        if path.parent.name == "receipts" and _is_believed(path):
            wrong += _wrong_shards(path, folder, expected)
    return wrong


def _is_believed(path: Path) -> bool:
    if path.name == LEDGER:
        return False  # lists files before they are written
    if path.suffix == ".json" and "zarr" not in path.name:
        try:
            read_signed(path)
        except StoreError:
            return path.parent.name == "tables"
        return True
    return path.parent.name in ("tables", "figures")


def _wrong_sealed(seals: Path, folder: Path, expected: dict[str, bytes]) -> list[str]:
    if not _is_believed(seals):
        return []
    wrong = []
    for name, digest in read_signed(seals)["files"].items():
        file = seals.parent / name
        full = file.relative_to(folder).as_posix()
        if file.is_file() and file_digest(file) == digest:
            wrong += [] if file.read_bytes() == expected.get(full) else [full]
    return wrong


def _wrong_shards(receipt: Path, folder: Path, expected: dict[str, bytes]) -> list[str]:
    state = receipt.parent.parent
    shard = int(receipt.stem)
    wrong = []
    for array, about in read_signed(receipt)["arrays"].items():
        chunks = state.with_suffix(".zarr") / array / "c"
        for file in chunks.rglob("*"):
            index = [int(part) for part in file.relative_to(chunks).parts if part.isdigit()]
            is_it = file.is_file() and sum(index) == shard and file.suffix != ".partial"
            name = file.relative_to(folder).as_posix()
            if is_it and file_digest(file) == about["digest"]:
                wrong += [] if file.read_bytes() == expected.get(name) else [name]
    return wrong
