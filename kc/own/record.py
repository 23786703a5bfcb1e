"""One layer of a user's network for every picture, in a store of its own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from kc.own.layers import Tap
from kc.own.settings import CompareSettings
from kc.provenance import product_key
from kc.store import ArraySpec, Store, StoredArray, StoreWriter, open_store

DIMS = {1: ("image", "unit"), 2: ("image", "token", "unit"), 3: ("image", "channel", "y", "x")}


def record_layer(
    tapped: Tap,
    images: Store,
    settings: CompareSettings,
    out: Path,
    device: torch.device,
) -> StoredArray:
    """Record a layer for every picture, or go on at the next missing shard; give it from disk.

    Raises
    ------
    FeatureError
        A value that is not finite, or too large for the type it is stored in; the image is named.
    """
    about = {
        "activations": settings.activations,
        "node": tapped.node,
        "mean": settings.mean,
        "std": settings.std,
    }
    key = product_key(about, {"images": images.digest, "network": tapped.digest}, "kc.own.record")
    array = images["image"]
    spec = ArraySpec(
        tapped.node,
        DIMS[len(tapped.shape)],
        (len(array), *tapped.shape),
        settings.activations.dtype,
        statistics=True,
    )
    with StoreWriter(
        out,
        key,
        [spec],
        images.rows,
        settings.activations.shard_rows,
        settings.activations.compressor,
        {"network": tapped.digest, "images": images.digest},
        mend=f"rm -r {out}, and the same command again",
    ) as writer:
        missing = writer.missing()
        total = sum(rows.stop - rows.start for rows in map(writer.rows, missing))
        see = _seen_by(tapped, settings, device)
        with tqdm(total=total, desc=f"record {out.stem}", unit="image", disable=None) as bar:
            for shard in missing:
                rows, parts = writer.rows(shard), []
                for start in range(rows.start, rows.stop, settings.activations.batch_size):
                    stop = min(start + settings.activations.batch_size, rows.stop)
                    parts.append(see(torch.from_numpy(array.read(slice(start, stop)))))
                    bar.update(stop - start)
                writer.write(shard, {tapped.node: np.concatenate(parts)})
        writer.finish()
    return open_store(out)[tapped.node]


def _seen_by(
    tapped: Tap, settings: CompareSettings, device: torch.device
) -> Callable[[Tensor], np.ndarray]:
    """Give what turns stored pixels into the layer's feature, on the device and back."""
    tapped.module.to(device)
    mean = torch.tensor(settings.mean, device=device).view(1, 3, 1, 1)
    std = torch.tensor(settings.std, device=device).view(1, 3, 1, 1)

    def see(pixels: Tensor) -> np.ndarray:
        with torch.inference_mode():
            seen = (pixels.to(device).to(torch.float32) / 255 - mean) / std
            return np.asarray(tapped.extract(seen).float().cpu())

    return see
