"""Read and write small files, completely or not at all; detect those that were changed."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import xxhash

from kc.errors import StoreError
from kc.files.aside import put_in_place
from kc.files.checksum import content_digest
from kc.plans.commands import fix_at

CHECKSUM = "checksum"
"""Field of a signed JSON file: the digest of all the others."""


def write_bytes_atomic(path: Path, content: bytes) -> None:
    """Write a temporary file, flush it to disk, rename it: a kill leaves the old file or the new.

    Raises
    ------
    StoreError
        The disk refuses it.
    """
    with put_in_place(path) as file:
        file.write(content)


def write_json_atomic(path: Path, content: Any) -> None:
    """Write sorted, indented JSON in one step."""
    write_bytes_atomic(path, spell_json(content))


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises
    ------
    StoreError
        The file is missing or is not JSON.
    """
    return parse_json(path.read_bytes, str(path))


def parse_json(read: Callable[[], bytes], where: str) -> Any:
    """Read JSON by a function; ``where`` is named in errors.

    Raises
    ------
    StoreError
        The file is missing or is not JSON.
    """
    try:
        return json.loads(read().decode("utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{where}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{where}: not readable as JSON ({error}). Fix: {fix_at(where)}") from None


def spell_json(content: Any) -> bytes:
    """Format sorted, indented JSON."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    # a file name that is not UTF-8 holds surrogates: JSON escapes them in the same way
    return text.encode(errors="backslashreplace")


def write_signed(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Write JSON with its own checksum, in one step; return what was written."""
    signed = sign(content)
    write_json_atomic(path, signed)
    return signed


def read_signed(path: Path, fix: str = "") -> dict[str, Any]:
    """Read what :func:`write_signed` wrote; no byte of it may have changed.

    Raises
    ------
    StoreError
        The file is missing, or was edited or damaged; ends with ``fix`` (default: the command that
        makes its product again).
    """
    return parse_signed(path.read_bytes, str(path), fix)


def sign(content: Mapping[str, Any]) -> dict[str, Any]:
    """Add the checksum of all fields."""
    return dict(content) | {CHECKSUM: content_digest(content)}


def parse_signed(read: Callable[[], bytes], where: str, fix: str) -> dict[str, Any]:
    """Read signed JSON by a function; ``where`` is named in errors.

    Raises
    ------
    StoreError
        The file is missing, or was edited or damaged; ends with ``fix``.
    """
    try:
        text = read()
        signed = json.loads(text)
        content = {name: value for name, value in signed.items() if name != CHECKSUM}
        # compared as text too: another format of the same number was not written by kc
        whole = signed[CHECKSUM] == content_digest(content) and text == spell_json(signed)
    except FileNotFoundError:
        raise StoreError(f"{where}: no such file. Fix: {fix or fix_at(where)}") from None
    except (ValueError, AttributeError, KeyError, RecursionError):
        whole = False
    if not whole:
        raise StoreError(
            f"{where}: edited or damaged, it does not match its own checksum. "
            f"Fix: {fix or fix_at(where)}"
        )
    return dict(signed)


def file_digest(path: Path) -> str:
    """Return the xxh3_128 digest of a file (guards against damage, not against malice)."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, xxhash.xxh3_128).hexdigest()
