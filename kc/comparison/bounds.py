"""Check the declared size of features against the size of their files."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kc.errors import FeatureError

LEAST = 16 << 20
"""Bytes up to which no array is refused: small arrays may be mostly padding, or all zero."""
RATIO = 2000
"""Most bytes of numbers for each byte on disk; DEFLATE packs zeros 1,030:1, features 1 to 20:1."""


def check_promise(path: Path, arrays: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Refuse arrays that are much larger than their files: a zip bomb or a truncated file.

    Raises
    ------
    FeatureError
        The error names the largest array, its declared size and the size on disk.
    """
    sizes = {
        name: np.dtype(array.dtype).itemsize * math.prod(map(int, array.shape))
        for name, array in arrays.items()
    }
    promised = sum(sizes.values())
    if promised <= LEAST:
        return
    parts = [part for file in files for part in (file, *file.rglob("*")) if part.is_file()]
    there = sum(part.stat().st_size for part in parts)
    if promised > RATIO * there:
        name = max(sizes, key=lambda name: sizes[name])
        raise FeatureError(
            f"{path}: '{name}' of shape {tuple(arrays[name].shape)} promises {sizes[name]:,} "
            f"bytes, but {there:,} are on disk; refused: a damaged file, or one made to fill the "
            "memory. Fix: save the array again."
        )
