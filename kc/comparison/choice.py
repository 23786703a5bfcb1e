"""Choose the arrays of a file that can be features, and refuse others with a fix."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kc.comparison.kinds import WEIGHTS_FIX
from kc.errors import FeatureError
from kc.plans.commands import quoted

TENSORS = (".pt", ".pth", ".safetensors")
"""Suffixes of files that may hold features or weights."""


def chosen_arrays(path: Path, found: Mapping[str, Any], only: str | None) -> dict[str, Any]:
    """Return the requested array, or all arrays that could be features; each by a dotted name.

    Raises
    ------
    FeatureError
        There is no such array or none that could be features, or numbers of rows differ.
    """
    if only is not None:
        if only not in found:
            raise FeatureError(
                f"{path}: no array '{only}' in it; there are {', '.join([*found][:9]) or 'none'}. "
                "Fix: name one of these."
            )
        if not is_feature(found[only]):
            raise FeatureError(_what(f"{path}:{only}", found[only]))
        found = {only: found[only]}
    features = {name: value for name, value in sorted(found.items()) if is_feature(value)}
    kept: dict[str, Any] = {}
    for name, value in features.items():
        dotted = name.strip("/").replace("/", ".")
        if dotted in kept:
            raise FeatureError(
                f"{path}: two of its arrays would be called '{dotted}', one of them '{name}'. "
                f"Fix: name one, {quoted(f'{path}:{name}')}, or rename it."
            )
        kept[dotted] = value
    if not kept:
        told = " ".join(_what(name, value) for name, value in [*found.items()][:3])
        raise FeatureError(
            f"{path}: no features in it. {told or 'It holds no array. Fix: save one there.'}"
        )
    counts = {name: int(value.shape[0]) for name, value in kept.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        is_either = path.suffix.lower() in TENSORS
        weights = f"if it holds weights, {WEIGHTS_FIX}; else " if is_either else ""
        raise FeatureError(
            f"{path}: its arrays have different numbers of rows ({told:.300}). Fix: {weights}name "
            f"one, such as {quoted(f'{path}:{next(iter(kept))}')}"
        )
    return kept


def is_feature(array: Any) -> bool:
    """Return whether an array has the type and the dimensions of features."""
    return (
        np.dtype(array.dtype).kind in "fiu"
        and len(array.shape) in (2, 3, 4)
        and 0 not in array.shape[1:]
    )


def _what(name: str, array: Any) -> str:
    return (
        f"'{name}' is {np.dtype(array.dtype)} of shape {tuple(array.shape)}; expected numbers, "
        f"(n, units), (n, tokens, units) or (n, channels, y, x). Fix: {_remedy(array)}."
    )


def _remedy(array: Any) -> str:
    kind, axes = np.dtype(array.dtype).kind, len(array.shape)
    if kind == "c":
        return "numpy.concatenate([array.real, array.imag], 1)"
    if kind not in "fiub":
        return "save numbers, one array for each field"
    if axes == 0 or 0 in array.shape[1:]:
        return "save features of at least one unit"
    if axes == 1:
        return "array[:, None], if it is one number a row"
    if axes > 4:
        return "array.reshape(len(array), -1)"
    return "array.astype('float32')"
