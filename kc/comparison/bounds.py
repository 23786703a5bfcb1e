"""What a file of features promises, against what its files could hold."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kc.errors import FeatureError

LEAST = 16 << 20
"""Up to here no array is refused, bytes: a few rows are mostly padding, or all zero."""
RATIO = 2000
"""Bytes of numbers a byte on disk; DEFLATE packs zeros 1,030 to 1, features 1 to 20."""


def check_promise(path: Path, arrays: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Refuse arrays that are much larger than their files: a bomb, or a file that was cut.

    Raises
    ------
    FeatureError
        Names the largest array, what it promises, and what there is.
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
