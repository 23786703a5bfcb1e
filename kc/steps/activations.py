"""Record the features of trained networks."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kc.activations import record_networks
from kc.runtime import pick_device
from kc.settings.feature_maps import Activations
from kc.store import open_store
from kc.store.files import write_json_atomic
from kc.store.part import WHOLE, Destination, JobPart


class Recording(NamedTuple):
    """The networks and nodes that one job records."""

    networks: Sequence[str]
    """Names of folders under ``RESULTS/networks``."""
    nodes: Sequence[str]
    """Graph nodes of each network."""
    part: JobPart = WHOLE
    """Part of the stores; parts may be recorded at the same time."""
    root: str = ""
    """Place of the stores; empty: next to their manifests."""


def record_features(
    recording: Recording,
    images: Path,
    settings: Activations,
    results: Path,
    device: str = "auto",
    receipt: Path | None = None,
) -> None:
    """Record nodes of networks for every image into ``RESULTS/activations``.

    Parameters
    ----------
    images
        Manifest of the image store.
    receipt
        File for the digests of what a job of a part recorded.

    Raises
    ------
    NetworkError
        A network or node is missing.
    StoreError
        A store is damaged, locked or not made by kc.
    """
    recorded = record_networks(
        {name: results / "networks" / name for name in recording.networks},
        recording.nodes,
        open_store(images),
        settings,
        Destination(results / "activations", recording.root, recording.part),
        pick_device(device),
    )
    if receipt is not None and recording.part.of > 1:
        write_json_atomic(receipt, recorded)
