"""What a store is to hold, said before its first shard."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd

from kc.errors import StoreError
from kc.files.sources import Source
from kc.store.spec import ArraySpec, check_spec


class StoreContent(NamedTuple):
    """Arrays of the same images, what is known of each image, and how both lie on disk."""

    arrays: Sequence[ArraySpec]
    coordinates: pd.DataFrame
    """One row an image, in row order; ``image_id`` must be unique."""
    shard_rows: int
    """Images of a shard."""
    compressor: str = "none"
    """Of the shards: ``none``, ``lz4`` or ``zstd``."""
    attributes: Mapping[str, Any] = MappingProxyType({})
    """Of the whole store; anything JSON can hold."""
    source: Source | None = None
    """Files of the user's that the store is made from: looked at once more before the manifest is
    written, which names them (``kc store verify --sources``)."""
    passed_over: Mapping[str, int] = MappingProxyType({})
    """Files of the source that no image is of, counted by reason. Told by the manifest, but in no
    digest: a hidden file more makes no other store."""

    @property
    def shards(self) -> int:
        """Number of shards of each array."""
        return -(-len(self.coordinates) // self.shard_rows)

    def check(self, path: Path) -> None:
        """Refuse what no store holds.

        Raises
        ------
        StoreError
            An array no store can hold, or of other images than the coordinates; ids that repeat.
        """
        names = [spec.name for spec in self.arrays]
        for spec in self.arrays:
            check_spec(spec)
            if spec.name in self.coordinates or names.count(spec.name) > 1:
                raise StoreError(
                    f"{path}: two would be called '{spec.name}': arrays "
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
            raise StoreError(f"{path}: image_id '{twice}' stands twice; ids must be unique")
