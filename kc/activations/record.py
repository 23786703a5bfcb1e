"""Record features of trained networks in stores: several layers in one forward pass."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from kc.activations.rounding import TOO_MUCH, rounding_share
from kc.activations.shards import feature_spec, record_missing, seen_by
from kc.networks.checkpoint import load_network
from kc.networks.tap import feature_extractor
from kc.plans.commands import remake
from kc.provenance import product_key
from kc.settings.feature_maps import Activations
from kc.store import Store, StoreContent, StoreWriter, open_store
from kc.store.part import WHOLE, Destination
from kc.store.product import read_card

LOG = logging.getLogger(__name__)

type Recorded = dict[str, dict[str, dict[str, str]]]
"""Digest of each file, by network, shard and layer."""


def record_networks(
    networks: Mapping[str, Path],
    nodes: Sequence[str],
    images: Store,
    settings: Activations,
    out: Path | Destination,
    device: torch.device,
) -> Recorded:
    """Record some layers of each network for every image; memory does not grow with images.

    An interrupted recording resumes at the next missing shard. Jobs that each record a part may
    run at the same time; the job that owns all shards then checks them, records those that are
    missing, and writes the manifests.
    """
    about = nodes, images, settings, Destination.of(out), device
    return {name: _record_one(name, folder, *about) for name, folder in networks.items()}


def _record_one(
    name: str,
    folder: Path,
    nodes: Sequence[str],
    images: Store,
    settings: Activations,
    out: Destination,
    device: torch.device,
) -> dict[str, dict[str, str]]:
    weights = read_card(folder, files=())["digest"]
    key = product_key(
        {"settings": settings, "nodes": list(nodes)},
        {"images": images.digest, "weights": weights},
        "kc.activations.record",
    )
    see = seen_by(feature_extractor(load_network(folder).to(device), nodes), device)
    array = images["image"]
    example = see(torch.from_numpy(array.read(slice(0, 2))), slice(0, 2))
    store = StoreWriter(
        out.folder / f"{name}.zarr",
        key,
        StoreContent(
            [
                feature_spec(node, tuple(example[node].shape[1:]), len(array), settings.dtype)
                for node in nodes
            ],
            images.rows,
            settings.shard_rows,
            settings.compressor,
            {"network": name, "weights": weights, "images": images.digest},
        ),
        mend=remake(out.folder / f"{name}.json"),
        part=out.part,
        root=out.root,
    )
    if not store.owned:
        return {}
    with store as writer:
        record_missing(writer, array, see, settings.batch_size)
        if out.part == WHOLE:
            writer.finish()
            _warn_of_rounding(open_store(out.folder / f"{name}.json"))
        return writer.digests()


def _warn_of_rounding(store: Store) -> None:
    for node in store.names:
        share = rounding_share(store[node])
        if share >= TOO_MUCH:
            LOG.warning(
                "%s: float16's rounding makes about %.2g of the variance of %s, which counts as "
                "x^Delta. Fix: --config 'activations={dtype: float32}'",
                *(store.path, share, node),
            )
