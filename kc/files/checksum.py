"""Checksums as in the settings: ``sha256:`` or ``md5:`` and the hexadecimal digits."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PATTERN = "^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$"


def checksum_of(path: Path, algorithm: str = "sha256") -> str:
    """Return a file's checksum, ``ALGORITHM:DIGITS``."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return f"{algorithm}:{found.hexdigest()}"


def content_digest(content: Mapping[str, Any]) -> str:
    """Hash content that JSON can hold, so that equal content has an equal digest."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def differs(path: Path, expected: str) -> str:
    """Return the checksum of a file if it is not the expected one; else empty."""
    found = checksum_of(path, expected.partition(":")[0])
    return "" if found == expected else found
