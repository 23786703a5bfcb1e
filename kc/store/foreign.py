"""Arrays of zarr that kc did not write: opened, named, read; no digest guards them."""

from pathlib import Path
from typing import Any

import zarr

from kc.errors import StoreError


def open_foreign(path: Path) -> dict[str, Any]:
    """Open a zarr array, or all arrays of a zarr group, by name; an array is called by its file.

    Each has ``shape``, ``dtype``, slices, and ``oindex`` for rows in any order.

    Raises
    ------
    StoreError
        No zarr there, or not one this zarr reads.
    """
    try:
        found = zarr.open(path, mode="r")
    except Exception as error:
        raise StoreError(
            f"{path}: not readable as zarr ({type(error).__name__}: {error}). Cure: mend the path, "
            "or write it with zarr 2 or 3."
        ) from error
    return {path.stem: found} if isinstance(found, zarr.Array) else dict(found.arrays())
