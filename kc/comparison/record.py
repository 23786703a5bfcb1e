"""Record some layers of a user's network for every picture, in one pass and one store."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kc.activations.shards import feature_spec, record_missing, seen_by
from kc.comparison.forms import Form
from kc.comparison.layers import Tap
from kc.comparison.memory import batch_size
from kc.comparison.settings import CompareSettings
from kc.comparison.views import ViewParts
from kc.names import Shape
from kc.plans.commands import AGAIN
from kc.provenance import product_key
from kc.settings.preparation import Preparation
from kc.store import ArraySpec, Store, StoreContent, StoreWriter, open_store

WantedForms = Mapping[str, Sequence[Form]]
"""The forms in which each layer is stored, by its name."""


class SeenPictures(NamedTuple):
    """The pictures that a network sees."""

    pictures: Store
    preparation: Preparation
    parts: ViewParts | None = None
    """What of each picture's view the other network sees too; None: all of it."""


def record_layers(
    tapped: Tap,
    wanted: WantedForms,
    seen: SeenPictures,
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
    about: dict[str, Any] = {
        "activations": settings.activations.model_dump(mode="json", exclude={"batch_size"}),
        "wanted": {node: [form.suffix for form in forms] for node, forms in wanted.items()},
        "mean": seen.preparation.mean,
        "std": seen.preparation.std,
    }
    images = seen.pictures
    parts = None if seen.parts is None else torch.from_numpy(seen.parts).to(device)
    if seen.parts is not None:
        about["parts"] = hashlib.sha256(seen.parts.tobytes()).hexdigest()
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
            {
                "network": tapped.digest,
                "images": images.digest,
                "pictures": Path(images.path).stem,
            },
        ),
        mend=AGAIN,
    ) as writer:
        tapped.module.to(device)
        extract = seen_by(tapped.extract, device, seen.preparation.mean, seen.preparation.std)

        def see(pixels: Tensor, rows: slice) -> Mapping[str, Tensor]:
            return formed(extract(pixels, rows), wanted, None if parts is None else parts[rows])

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


def formed(
    features: Mapping[str, Tensor], wanted: WantedForms, parts: Tensor | None = None
) -> dict[str, Tensor]:
    """Convert a batch of each layer to its forms, as float32; ``parts``: what is cut out."""
    return {
        form.array(name): form(features[name].float(), parts)
        for name, forms in wanted.items()
        for form in forms
    }
