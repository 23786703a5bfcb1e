"""How much of a stored layer's variance is the rounding of float16."""

import numpy as np

from kc.store import StoredArray

ROWS = 256
"""Looked at: a store's first rows are a random sample."""
TOO_MUCH = 1e-3
"""Share of the variance above which rounding is worth a warning."""


def rounding_share(stored: StoredArray) -> float:
    """Return the share of a layer's variance that rounding to float16 adds; 0 of other types.

    Rounding adds a twelfth of the squared step between neighbouring numbers, which grows with a
    value's size: so a mean far from 0 beside a small spread costs most. Variances are about each
    channel's mean. An upper bound where values were round already.
    """
    values = np.asarray(stored[: min(ROWS, stored.shape[0])])
    if values.dtype != np.float16:
        return 0.0
    axes = (0, 2, 3) if values.ndim == 4 else tuple(range(values.ndim - 1))
    steps = np.spacing(np.abs(values)).astype(np.float64)
    variance = values.astype(np.float64).var(axes).sum()
    return float((steps**2 / 12).mean(axes).sum() / variance) if variance else 0.0
