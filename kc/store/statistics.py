"""Means and variances per channel, by shard, merged in shard order (Chan et al.)."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from kc.store.spec import ArraySpec


def shard_statistics(values: np.ndarray, spec: ArraySpec) -> dict[str, Any]:
    """Count, mean and sum of squared differences per channel of one shard, in float64."""
    axis = spec.dims.index("channel") if "channel" in spec.dims else len(spec.dims) - 1
    flat = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).astype(np.float64)
    mean = flat.mean(axis=1)
    squares = ((flat - mean[:, None]) ** 2).sum(axis=1)
    return {"count": flat.shape[1], "mean": mean.tolist(), "m2": squares.tolist()}


def merge_statistics(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Merge shards into per-channel and global mean and (population) standard deviation."""
    count = 0
    mean = squares = np.zeros(1)
    for part in parts:
        n, m, s = part["count"], np.asarray(part["mean"]), np.asarray(part["m2"])
        if count == 0:
            count, mean, squares = n, m, s
            continue
        shift = m - mean
        squares = squares + s + shift**2 * (count * n / (count + n))
        mean = mean + shift * (n / (count + n))
        count += n
    total = float(mean.mean())
    variance = float((squares.sum() / count + ((mean - total) ** 2).sum()) / len(mean))
    return {
        "count": count,
        "channel_mean": mean.tolist(),
        "channel_std": np.sqrt(squares / count).tolist(),
        "mean": total,
        "std": variance**0.5,
    }
