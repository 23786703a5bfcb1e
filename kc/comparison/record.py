"""Some layers of a user's network for every picture, in one pass and one store."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from kc.comparison.forms import Form, Shape
from kc.comparison.layers import Tap
from kc.comparison.memory import batch_size
from kc.comparison.settings import CompareSettings
from kc.plans.commands import AGAIN
from kc.provenance import product_key
from kc.store import ArraySpec, Store, StoreWriter, open_store

DIMS = {1: ("image", "unit"), 2: ("image", "token", "unit"), 3: ("image", "channel", "y", "x")}
Wanted = Mapping[str, Sequence[Form]]
"""The forms in which each layer is stored, by its name."""


def record_layers(
    tapped: Tap,
    wanted: Wanted,
    images: Store,
    settings: CompareSettings,
    out: Path,
    device: torch.device,
) -> Store:
    """Record layers for every picture, or go on at the next missing shard; give the store.

    The array of a layer in a form is called by the layer's name and the form's suffix. Pictures
    go through the network ``activations.batch_size`` at a time, or fewer where memory is short.

    Raises
    ------
    FeatureError
        A value that is not finite, or too large for the type it is stored in; the image is named.
    """
    about = {
        "activations": settings.activations.model_dump(mode="json", exclude={"batch_size"}),
        "wanted": {node: [form.suffix for form in forms] for node, forms in wanted.items()},
        "mean": settings.mean,
        "std": settings.std,
    }
    key = product_key(
        about, {"images": images.digest, "network": tapped.digest}, "kc.comparison.record"
    )
    array = images["image"]
    with StoreWriter(
        out,
        key,
        specs_of(
            {node: layer.shape for node, layer in tapped.layers.items()},
            wanted,
            len(array),
            settings.activations.dtype,
        ),
        images.rows,
        settings.activations.shard_rows,
        settings.activations.compressor,
        {"network": tapped.digest, "images": images.digest},
        mend=AGAIN,
    ) as writer:
        missing = writer.missing()
        total = sum(rows.stop - rows.start for rows in map(writer.rows, missing))
        see = _seen_by(tapped, settings, device)
        step = batch_size(settings.activations.batch_size, tapped.bytes_each, device)
        with tqdm(total=total, desc=f"record {out.stem}", unit="image", disable=None) as bar:
            for shard in missing:
                rows, parts = writer.rows(shard), []
                for start in range(rows.start, rows.stop, step):
                    stop = min(start + step, rows.stop)
                    features = see(torch.from_numpy(array.read(slice(start, stop))))
                    parts.append(formed(features, wanted))
                    bar.update(stop - start)
                writer.write(shard, {name: np.concatenate([p[name] for p in parts])
                                     for name in parts[0]})  # fmt: skip
        writer.finish()
    return open_store(out)


def specs_of(shapes: Mapping[str, Shape], wanted: Wanted, rows: int, dtype: str) -> list[ArraySpec]:
    """Describe the array of each layer in each form."""
    found = []
    for name, forms in wanted.items():
        for form in forms:
            shape = form.shape(shapes[name])
            dims = DIMS[len(shape)]
            found.append(
                ArraySpec(name + form.suffix, dims, (rows, *shape), dtype, statistics=True)
            )
    return found


def formed(features: Mapping[str, Tensor], wanted: Wanted) -> dict[str, np.ndarray]:
    """Bring a batch of each layer into its forms, on the CPU."""
    return {
        name + form.suffix: np.asarray(form(features[name].float()).cpu())
        for name, forms in wanted.items()
        for form in forms
    }


def _seen_by(
    tapped: Tap, settings: CompareSettings, device: torch.device
) -> Callable[[Tensor], dict[str, Tensor]]:
    """Give what turns stored pixels into the layers' features, on the device."""
    tapped.module.to(device)
    mean = torch.tensor(settings.mean, device=device).view(1, 3, 1, 1)
    std = torch.tensor(settings.std, device=device).view(1, 3, 1, 1)

    def see(pixels: Tensor) -> dict[str, Tensor]:
        with torch.inference_mode():
            seen = (pixels.to(device).to(torch.float32) / 255 - mean) / std
            return tapped.extract(seen)

    return see
