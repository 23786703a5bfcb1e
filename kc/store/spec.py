"""Specification of an array of a store, and conversion to its type on disk."""

from typing import Any, NamedTuple

import numpy as np

from kc.errors import StoreError

DTYPES = ("float16", "float32", "bfloat16", "float64", "uint8", "bool", "int64")


class ArraySpec(NamedTuple):
    """One array; it is sharded along ``image``, exactly one of its dimensions."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    statistics: bool = False

    @property
    def row_axis(self) -> int:
        """Position of the image dimension."""
        return self.dims.index("image")

    @property
    def disk_dtype(self) -> np.dtype:
        """Type on disk: bits of bfloat16, which numpy lacks, are stored as uint16."""
        return np.dtype("uint16" if self.dtype == "bfloat16" else self.dtype)

    def at(self, rows: Any) -> tuple[Any, ...]:
        """Return the index that selects some images, and all of the other dimensions."""
        return (*([slice(None)] * self.row_axis), rows)

    def file_name(self, shard: int) -> str:
        """Return the path of a shard inside the store, as zarr names it."""
        index = ["0"] * len(self.dims)
        index[self.row_axis] = str(shard)
        return "/".join([self.name, "c", *index])


def check_spec(spec: ArraySpec) -> None:
    """Raise an error if a store cannot hold the array."""
    if spec.dims.count("image") != 1 or len(spec.dims) != len(spec.shape):
        raise StoreError(
            f"array '{spec.name}': dims {spec.dims} with shape {spec.shape}; expected one name "
            "per dimension and exactly one of them 'image'"
        )
    if spec.dtype not in DTYPES:
        raise StoreError(f"array '{spec.name}': dtype '{spec.dtype}' is not among {DTYPES}")


def to_disk(values: np.ndarray, spec: ArraySpec) -> np.ndarray:
    """Convert to the type on disk (bfloat16: round to nearest even, keep the upper 16 bits)."""
    if spec.dtype == "float16" and values.dtype == np.float32:
        # imported here: reading needs no torch
        import torch

        # the same bits as numpy, ten times as fast
        return torch.from_numpy(np.require(values, requirements="W")).half().numpy()
    if spec.dtype != "bfloat16":
        return values.astype(spec.disk_dtype, copy=False)
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_disk(values: np.ndarray, dtype: str) -> np.ndarray:
    """Undo :func:`to_disk`; bfloat16 comes back as float32, which holds it exactly."""
    if dtype != "bfloat16":
        return values
    return (values.astype(np.uint32) << 16).view(np.float32)


def widened(values: np.ndarray) -> np.ndarray:
    """Return float16 as float32: numpy is slow at converting it to float64."""
    if values.dtype != np.float16:
        return values
    import torch

    return torch.from_numpy(np.require(values, requirements="W")).float().numpy()


def all_finite(values: np.ndarray) -> bool:
    """Return whether no value is NaN or infinite."""
    if values.dtype.kind != "f":
        return True
    # one addition per value; if the sum overflows, each value is tested
    return bool(np.isfinite(widened(values).sum()) or np.isfinite(values).all())
