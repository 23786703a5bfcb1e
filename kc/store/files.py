"""Small files written whole or not at all, and what tells a changed one from the one written."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xxhash

from kc.errors import StoreError
from kc.files.aside import put_in_place
from kc.plans.commands import fix_at

CHECKSUM = "checksum"
"""Field of a signed JSON file: the digest of all the others."""


def write_bytes_atomic(path: Path, content: bytes) -> None:
    """Write aside, flush to disk, rename: a kill leaves the old file or the new one.

    Raises
    ------
    StoreError
        The disk does not take it.
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
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file") from None
    return parse_json(text, str(path))


def parse_json(text: bytes, where: str) -> Any:
    """Read JSON that lay at ``where``.

    Raises
    ------
    StoreError
        It is not JSON.
    """
    try:
        return json.loads(text.decode("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{where}: not readable as JSON ({error}). Fix: {fix_at(where)}") from None


def spell_json(content: Any) -> bytes:
    """Format sorted, indented JSON."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    # a file's name that is no UTF-8 holds halves of letters: JSON escapes them just so
    return text.encode(errors="backslashreplace")


def write_signed(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Write JSON with its own checksum, in one step; give what was written."""
    signed = sign(content)
    write_json_atomic(path, signed)
    return signed


def read_signed(path: Path, fix: str = "") -> dict[str, Any]:
    """Read what :func:`write_signed` wrote; not a byte of it may have changed.

    Raises
    ------
    StoreError
        The file is missing, or was edited or damaged; ends with ``fix`` (none: what makes anew
        the product it is in).
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file. Fix: {fix or fix_at(path)}") from None
    return parse_signed(text, str(path), fix)


def sign(content: Mapping[str, Any]) -> dict[str, Any]:
    """Add the checksum of all fields."""
    return dict(content) | {CHECKSUM: content_digest(content)}


def parse_signed(text: bytes, where: str, fix: str) -> dict[str, Any]:
    """Read signed JSON that lay at ``where``.

    Raises
    ------
    StoreError
        It was edited or damaged; ends with ``fix``.
    """
    try:
        signed = json.loads(text)
        content = {name: value for name, value in signed.items() if name != CHECKSUM}
        # compared as text too: another spelling of the same number was not written by us
        whole = signed[CHECKSUM] == content_digest(content) and text == spell_json(signed)
    except (ValueError, AttributeError, KeyError, RecursionError):
        whole = False
    if not whole:
        raise StoreError(
            f"{where}: edited or damaged, it is not what its checksum was taken of. "
            f"Fix: {fix or fix_at(where)}"
        )
    return dict(signed)


def content_digest(content: Mapping[str, Any]) -> str:
    """Hash what JSON can hold, so that equal content has an equal digest."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def file_digest(path: Path) -> str:
    """Return the xxh3_128 digest of a file (guards against damage, not against malice)."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return str(digest.hexdigest())
