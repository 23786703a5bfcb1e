"""What a store is to hold."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd

from kc.errors import StoreError
from kc.files.sources import Source
from kc.store.spec import ArraySpec, check_spec


class StoreContent(NamedTuple):
    """Arrays of the same images, a table of the images, and the layout of both on disk."""

    arrays: Sequence[ArraySpec]
    coordinates: pd.DataFrame
    """One row per image, in row order; ``image_id`` must be unique."""
    shard_rows: int
    """Images per shard."""
    compressor: str = "none"
    """Compression of the shards: ``none``, ``lz4`` or ``zstd``."""
    attributes: Mapping[str, Any] = MappingProxyType({})
    """Attributes of the store; anything JSON can hold."""
    source: Source | None = None
    """The user's files that the store is made from. They are checked again before the manifest,
    which names them, is written (``kc store verify --sources``)."""
    passed_over: Mapping[str, int] = MappingProxyType({})
    """Files of the source that became no image, counted by reason. The manifest lists them, but
    no digest counts them: one more hidden file does not make another store."""

    @property
    def shards(self) -> int:
        """Number of shards of each array."""
        return -(-len(self.coordinates) // self.shard_rows)

    def check(self, path: Path) -> None:
        """Check that a store can hold this content.

        Raises
        ------
        StoreError
            It cannot: an invalid array, another number of images than coordinates, repeated ids.
        """
        names = [spec.name for spec in self.arrays]
        for spec in self.arrays:
            check_spec(spec)
            if spec.name in self.coordinates or names.count(spec.name) > 1:
                raise StoreError(
                    f"{path}: two arrays or coordinates are called '{spec.name}': arrays "
                    f"{', '.join(names)}, coordinates {', '.join(map(str, self.coordinates))}. "
                    "Fix: another name for the array"
                )
            if spec.shape[spec.row_axis] != len(self.coordinates):
                raise StoreError(
                    f"{path}: '{spec.name}' has {spec.shape[spec.row_axis]} images, the "
                    f"coordinates {len(self.coordinates)}"
                )
        ids = self.coordinates["image_id"]
        if ids.duplicated().any():
            twice = ids[ids.duplicated()].iloc[0]
            raise StoreError(f"{path}: image_id '{twice}' appears twice; ids must be unique")
