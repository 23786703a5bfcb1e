"""Where a comparison works, and the two layers it looks at."""

from pathlib import Path
from typing import NamedTuple

import torch

from kc.comparison.settings import CompareSettings
from kc.consistency.data import FeaturePair, pair_up
from kc.files.checksum import content_digest
from kc.store import StoredArray


class Workplace(NamedTuple):
    """Under which settings a comparison works, in which folder, on which device."""

    settings: CompareSettings
    out: Path
    device: torch.device


class Direction(NamedTuple):
    """Two stored layers, one to be told from the other."""

    name: str
    """Of its fit, and of all that is made beside it."""
    source: StoredArray
    target: StoredArray

    @property
    def inputs(self) -> dict[str, str]:
        """Hash both layers; others beside them in their stores cost no fit."""
        return {"source": _digest(self.source), "target": _digest(self.target)}

    def pair(self, at: Workplace) -> FeaturePair:
        """Return how both are fed: from memory where they fit into it, else block by block."""
        memory_gb = at.settings.consistency.memory_gb
        return pair_up(self.source, self.target, at.device, self.source.shard_rows, memory_gb)


def _digest(array: StoredArray) -> str:
    manifest = array.store.manifest
    return content_digest(
        {"array": manifest["arrays"][array.name], "rows": manifest["coordinates"]}
    )
