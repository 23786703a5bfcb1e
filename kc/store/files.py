"""Small files written whole or not at all, and digests of files."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import xxhash

from kc.errors import StoreError


def write_bytes_atomic(path: Path, content: bytes) -> None:
    """Write aside, flush to disk, rename: a kill leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).chmod(0o644)
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


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
        raise StoreError(
            f"{where}: not readable as JSON ({error}). Cure: remove it and run the workflow again."
        ) from None


def spell_json(content: Any) -> bytes:
    """Spell sorted, indented JSON."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return text.encode()


def file_digest(path: Path) -> str:
    """Give the xxh3_128 digest of a file (guards against damage, not against malice)."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return str(digest.hexdigest())
