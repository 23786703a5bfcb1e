"""Estimate how much of a stored layer's variance is float16 rounding."""

import numpy as np

from kc.store import StoredArray

ROWS = 256
"""Rows that are read: the first rows of a store are a random sample."""
BLOCK = 32
"""Rows in memory at a time."""
TOO_MUCH = 1e-3
"""Share of the variance above which kc warns of rounding."""


def rounding_share(stored: StoredArray) -> float:
    """Return the share of a layer's variance that rounding to float16 adds; 0 for other types.

    Rounding adds a twelfth of the squared step between neighbouring numbers, which grows with the
    value: so the share is largest for a mean far from 0 and a small spread. Variances are about
    each channel's mean. For values that were already rounded this is an upper bound.
    """
    count = min(ROWS, stored.shape[0])
    first = np.asarray(stored[: min(BLOCK, count)])
    if first.dtype != np.float16:
        return 0.0
    axes = (0, 2, 3) if first.ndim == 4 else tuple(range(first.ndim - 1))
    about = first.mean(axes, dtype=np.float64, keepdims=True)
    noise, sums, squares = np.zeros((3, about.size))
    rows = 0
    for start in range(0, count, BLOCK):
        values = np.asarray(stored[start : min(start + BLOCK, count)])
        noise += np.square(np.spacing(np.abs(values)), dtype=np.float64).sum(axes)
        moved = values - about
        sums, squares = sums + moved.sum(axes), squares + np.square(moved).sum(axes)
        rows += values.size // about.size
    variance = float((squares / rows - np.square(sums / rows)).sum())
    return float((noise / 12 / rows).sum()) / variance if variance > 0 else 0.0
