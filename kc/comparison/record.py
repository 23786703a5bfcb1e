"""Record some layers of a user's network for every picture, in one pass and one store."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from kc.activations.shards import feature_spec, record_missing, seen_by
from kc.comparison.forms import Form
from kc.comparison.layers import Tap
from kc.comparison.memory import batch_size
from kc.comparison.settings import CompareSettings
from kc.names import Shape
from kc.plans.commands import AGAIN
from kc.provenance import product_key
from kc.store import ArraySpec, Store, StoreContent, StoreWriter, open_store

WantedForms = Mapping[str, Sequence[Form]]
"""The forms in which each layer is stored, by its name."""


def record_layers(
    tapped: Tap,
    wanted: WantedForms,
    images: Store,
    settings: CompareSettings,
    out: Path,
    device: torch.device,
) -> Store:
    """Record layers for every picture, or resume at the next missing shard; return the store.

    The array of a layer is named by :meth:`kc.comparison.forms.Form.array`. Pictures go through
    the network ``activations.batch_size`` at a time, or fewer if memory is short.

    Raises
    ------
    FeatureError
        A value is not finite or too large for its type; the error names the image.
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
    shapes = {node: layer.shape for node, layer in tapped.layers.items()}
    with StoreWriter(
        out,
        key,
        StoreContent(
            specs_of(shapes, wanted, len(images["image"]), settings.activations.dtype),
            images.rows,
            settings.activations.shard_rows,
            settings.activations.compressor,
            {"network": tapped.digest, "images": images.digest},
        ),
        mend=AGAIN,
    ) as writer:
        tapped.module.to(device)
        see = seen_by(
            lambda seen: formed(tapped.extract(seen), wanted), device, settings.mean, settings.std
        )
        step = batch_size(settings.activations.batch_size, tapped.bytes_each, device)
        record_missing(writer, images["image"], see, step)
        writer.finish()
    return open_store(out)


def specs_of(
    shapes: Mapping[str, Shape], wanted: WantedForms, rows: int, dtype: str
) -> list[ArraySpec]:
    """Describe the array of each layer in each form."""
    return [
        feature_spec(form.array(name), form.shape(shapes[name]), rows, dtype)
        for name, forms in wanted.items()
        for form in forms
    ]


def formed(features: Mapping[str, Tensor], wanted: WantedForms) -> dict[str, Tensor]:
    """Convert a batch of each layer to its forms, as float32."""
    return {
        form.array(name): form(features[name].float())
        for name, forms in wanted.items()
        for form in forms
    }
