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
    """What one job records."""

    networks: Sequence[str]
    """Names of folders under ``RESULTS/networks``."""
    nodes: Sequence[str]
    """Graph nodes, of each network."""
    part: JobPart = WHOLE
    """Of the stores; parts may be recorded at the same time."""
    root: str = ""
    """Where the stores lie; empty: beside their manifests."""


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
        File that a job of a part leaves: digests of what it recorded.

    Raises
    ------
    NetworkError
        A network or node that is not there.
    StoreError
        A store that is damaged, locked or another's.
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
