"""Settings, folder and device of a comparison, and the two layers of a direction."""

from pathlib import Path
from typing import NamedTuple

import torch

from kc.comparison.settings import CompareSettings
from kc.consistency.data import FeaturePair, pair_up
from kc.errors import DeviceError
from kc.files.checksum import content_digest
from kc.runtime import pick_device
from kc.store import StoredArray


class Workplace(NamedTuple):
    """The settings, output folder and device of a comparison."""

    settings: CompareSettings
    out: Path
    device: torch.device
    """Of g and the measures."""
    of_networks: torch.device
    """On which the networks run."""

    @classmethod
    def of(cls, settings: CompareSettings, out: Path, device: str) -> "Workplace":
        """Choose the devices; on Apple's GPU (``mps``), which has no float64, only networks run.

        Raises
        ------
        DeviceError
            There is no such device.
        """
        if device != "mps":
            chosen = pick_device(device)
            return cls(settings, out, chosen, chosen)
        if not torch.backends.mps.is_available():
            raise DeviceError(
                f"device: 'mps' was asked for, but torch {torch.__version__} sees no GPU of Apple "
                "here. Fix: cpu or auto."
            )
        return cls(settings, out, torch.device("cpu"), torch.device("mps"))


class Direction(NamedTuple):
    """Two stored layers, of which the target is reconstructed from the source."""

    name: str
    """Name of its fit and of everything made with it."""
    source: StoredArray
    target: StoredArray

    @property
    def inputs(self) -> dict[str, str]:
        """Return the digests of both layers; other layers in their stores do not matter."""
        return {"source": _digest(self.source), "target": _digest(self.target)}

    def pair(self, at: Workplace) -> FeaturePair:
        """Return both layers as a pair: in memory if they fit, else read block by block."""
        memory_gb = at.settings.consistency.memory_gb
        return pair_up(self.source, self.target, at.device, self.source.shard_rows, memory_gb)


def _digest(array: StoredArray) -> str:
    manifest = array.store.manifest
    return content_digest(
        {"array": manifest["arrays"][array.name], "rows": manifest["coordinates"]}
    )
