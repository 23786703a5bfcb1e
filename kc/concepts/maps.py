"""Stores of entropy maps: ``concepts/maps/<network>--<layer>.zarr``, one shard per checkpoint."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from kc.concepts.entropy import pixel_entropy
from kc.concepts.networks import layer_head, load_at, read_concept_card
from kc.concepts.noise import image_seed
from kc.concepts.samples import Measured, measured_pictures
from kc.concepts.settings import EntropySettings, preset
from kc.concepts.training import checkpoint_file
from kc.images import normalise
from kc.plans.commands import remake
from kc.plans.concept_products import ConceptNetwork, epochs_seen, layers_seen
from kc.progress import progress_bar
from kc.provenance import product_key
from kc.settings.concepts import Concepts
from kc.store import ArraySpec, Store, StoreContent, StoreWriter, open_store

LOG = logging.getLogger(__name__)


class Searched(NamedTuple):
    """Inputs that all maps of one architecture share."""

    images: Store
    measured: Measured
    pictures: Float[Tensor, "n 3 h w"]
    """Normalised, in the order of ``measured``."""
    settings: Concepts
    search: EntropySettings
    device: torch.device


class Maps(NamedTuple):
    """Entropy maps of one layer of one network, over training."""

    epochs: tuple[int, ...]
    ids: list[str]
    H: Float[Tensor, "m n grid grid"]
    """Nats, at m checkpoints; NaN where an image was skipped."""
    digest: str


def map_networks(
    plans: Sequence[ConceptNetwork],
    images: Store,
    settings: Concepts,
    networks: Path,
    out: Path,
    device: torch.device,
) -> None:
    """Search the missing maps of every layer at every checkpoint.

    Raises
    ------
    NetworkError
        A network is missing or damaged.
    ImageError
        The data set has no foreground.
    """
    for plan in plans:
        search = preset(settings.entropy, plan.architecture, settings.max_batch)
        about = (settings.lessons_of(plan.dataset).classes, settings.images, search.grid)
        measured = measured_pictures(images, *about)
        pictures = normalise(torch.from_numpy(images["image"][measured.rows]))
        searched = Searched(images, measured, pictures, settings, search, device)
        for layer in layers_seen(plan, settings):
            _map_layer(plan, layer, searched, networks, out)


def read_maps(plan: ConceptNetwork, layer: str, folder: Path) -> Maps:
    """Read a layer's maps at all checkpoints.

    Raises
    ------
    StoreError
        The maps are missing, unfinished or damaged.
    """
    store = open_store(folder / f"{plan.maps(layer)}.zarr")
    epochs = tuple(int(epoch) for epoch in store.attributes["epochs"])
    H = torch.from_numpy(store["H"][:].copy())
    H[torch.from_numpy(store["skipped"][:].copy())] = torch.nan
    count = len(H) // len(epochs)
    ids = [str(name) for name in store.rows["picture"][:count]]
    return Maps(epochs, ids, rearrange(H, "(m n) y x -> m n y x", n=count), store.digest)


def _map_layer(
    plan: ConceptNetwork, layer: str, about: Searched, networks: Path, out: Path
) -> None:
    card = read_concept_card(plan, networks)
    epochs, ids = epochs_seen(plan, about.settings), about.measured.ids
    inputs = {"images": about.images.digest}
    inputs |= {name: card["files"][name] for name in map(checkpoint_file, epochs)}
    made_of = {"search": asdict(about.search), "seed": about.settings.seed}
    made_of |= {"ids": ids, "layer": layer}
    rows = pd.DataFrame(
        [(f"{name}@{epoch}", name, epoch) for epoch in epochs for name in ids],
        columns=["image_id", "picture", "epoch"],
    )
    file = out / f"{plan.maps(layer)}.zarr"
    with StoreWriter(
        file,
        product_key(made_of, inputs, "kc.concepts.maps"),
        StoreContent(
            _arrays(len(rows), about.search.grid),
            rows,
            shard_rows=len(ids),
            attributes={
                "network": plan.name,
                "weights": card["digest"],
                "layer": layer,
                "epochs": list(epochs),
            },
        ),
        mend=remake(file.with_suffix(".json")),
    ) as writer:
        missing = writer.missing()
        bar = progress_bar(missing, desc=file.stem, unit="checkpoint")
        for shard in bar:
            writer.write(shard, _search(plan, layer, epochs[shard], about, networks))
        writer.finish()
    LOG.info("%s: %d of %d checkpoints searched now", file.stem, len(missing), len(epochs))


def _arrays(count: int, grid: int) -> list[ArraySpec]:
    cells = ArraySpec("H", ("image", "grid_y", "grid_x"), (count, grid, grid), "float32")
    lines = {"mse": "float32", "s_f": "float32", "steps": "int64", "skipped": "bool"}
    return [cells, *(ArraySpec(n, ("image",), (count,), dtype) for n, dtype in lines.items())]


def _search(
    plan: ConceptNetwork, layer: str, epoch: int, about: Searched, networks: Path
) -> dict[str, np.ndarray]:
    """Search all maps of a checkpoint; skipped images get zeros, as stores hold no NaN."""
    model = load_at(plan, networks, epoch).to(about.device)
    head = layer_head(model, plan.architecture, layer, about.pictures.shape[-1])
    seeds = [image_seed(name, about.settings.seed) for name in about.measured.ids]
    found = pixel_entropy(head.eval(), about.pictures, about.search, seeds, about.device)
    values = {
        name: getattr(found, name).numpy() for name in ("H", "mse", "s_f", "steps", "skipped")
    }
    return {name: np.where(np.isnan(some), 0, some) for name, some in values.items()}
