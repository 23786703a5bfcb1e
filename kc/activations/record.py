"""Dump the features of trained networks to stores: several layers in one forward pass."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from kc.images import normalise
from kc.networks import feature_extractor, load_network
from kc.plans.commands import remake
from kc.provenance import product_key
from kc.settings.feature_maps import Activations
from kc.store import ArraySpec, Store, StoreWriter
from kc.store.part import WHOLE, Part
from kc.store.product import read_card

LOG = logging.getLogger(__name__)
_DIMS = {2: ("image", "unit"), 3: ("image", "token", "unit"), 4: ("image", "channel", "y", "x")}

type Recorded = dict[str, dict[str, dict[str, str]]]
"""Digest of what lies on disk, by network, shard and node."""


def record_networks(
    networks: Mapping[str, Path],
    nodes: Sequence[str],
    images: Store,
    settings: Activations,
    out: Path,
    device: torch.device,
    part: Part = WHOLE,
    root: str = "",
) -> Recorded:
    """Record some nodes of each network for every image; memory does not grow with images.

    A recording that was killed goes on at the next missing shard. Jobs that record a part each
    may run at the same time; the one that owns the whole then finds their shards, checks them,
    records what is missing still, and writes the manifests. With a ``root`` the stores lie there
    (:class:`kc.store.StoreWriter`).
    """
    return {
        name: _record_one(name, folder, nodes, images, settings, out, device, part, root)
        for name, folder in networks.items()
    }


def _record_one(
    name: str,
    folder: Path,
    nodes: Sequence[str],
    images: Store,
    settings: Activations,
    out: Path,
    device: torch.device,
    part: Part,
    root: str,
) -> dict[str, dict[str, str]]:
    weights = read_card(folder, files=())["digest"]
    key = product_key(
        {"settings": settings, "nodes": list(nodes)},
        {"images": images.digest, "weights": weights},
        "kc.activations.record",
    )
    extractor = feature_extractor(load_network(folder).to(device), nodes)
    array = images["image"]
    example = _forward(extractor, torch.from_numpy(array.read(slice(0, 2))), device)
    specs = [_spec(node, example[node], len(array), settings.dtype) for node in nodes]
    store = StoreWriter(
        out / f"{name}.zarr",
        key,
        specs,
        images.rows,
        settings.shard_rows,
        settings.compressor,
        {"network": name, "weights": weights, "images": images.digest},
        mend=remake(out / f"{name}.json"),
        part=part,
        root=root,
    )
    if not store.owned:
        return {}
    with store as writer:
        missing = writer.missing()
        LOG.info("%s: %d of %d shards to record", name, len(missing), writer.shards)
        for shard in tqdm(missing, desc=name, unit="shard", disable=None, leave=False):
            pictures = torch.from_numpy(array.read(writer.rows(shard)))
            values = {
                spec.name: np.empty((len(pictures), *spec.shape[1:]), np.float32) for spec in specs
            }
            for start in range(0, len(pictures), settings.batch_size):
                batch = pictures[start : start + settings.batch_size]
                for node, feature in _forward(extractor, batch, device).items():
                    values[node][start : start + len(batch)] = feature.float().cpu().numpy()
            writer.write(shard, values)
        if part == WHOLE:
            writer.finish()
        return writer.digests()


def _forward(extractor: Any, images: Tensor, device: torch.device) -> dict[str, Tensor]:
    with torch.inference_mode():
        features: dict[str, Tensor] = extractor(normalise(images.to(device)))
    return features


def _spec(node: str, example: Tensor, images: int, dtype: str) -> ArraySpec:
    shape = (images, *example.shape[1:])
    return ArraySpec(node, _DIMS[example.ndim], shape, dtype, statistics=True)
