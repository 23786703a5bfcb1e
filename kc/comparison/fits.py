"""One direction of a comparison as files: g, its variances, and the components pictures need."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from kc.comparison.settings import CompareSettings
from kc.consistency.component_store import Kept
from kc.consistency.data import Pair, pair_up
from kc.consistency.evaluate import evaluate, write_variances
from kc.consistency.fit import fit
from kc.consistency.net import channels_of
from kc.consistency.order import Rows
from kc.consistency.result import FitResult
from kc.consistency.resume import STATE, Resume
from kc.consistency.saved import FILES, load_fit, save_fit
from kc.images.rows import rows_in
from kc.names import FEATURE_DIMS, SUBSETS, component_names
from kc.provenance import product_key, versions
from kc.runtime import derive_seed
from kc.store import ArraySpec, StoredArray
from kc.store.files import content_digest
from kc.store.product import Product, read_card

PICTURED = 512
"""Test images whose components are kept: the store's first, which are a random sample."""


class Fitted(NamedTuple):
    """A direction that is fitted, evaluated and written."""

    card: dict[str, Any]
    variances: pd.DataFrame
    """Subset, component, variance."""
    components: Path | None
    """Their store, where they are kept."""

    def share(self, subset: str) -> float:
        """Give Var(x^Delta) / Var(x*) of a subset."""
        return self.shares(subset, ["xdelta"])["xdelta"]

    def shares(self, subset: str, names: Sequence[str]) -> dict[str, float]:
        """Give shares of the target's variance by part."""
        part = self.variances[self.variances["subset"] == subset]
        variance = part.set_index("component")["variance"]
        return {name: float(variance[name] / variance["target"]) for name in names}


def fit_direction(
    name: str,
    source: StoredArray,
    target: StoredArray,
    settings: CompareSettings,
    out: Path,
    device: torch.device,
    pictured: bool = True,
) -> Fitted:
    """Fit g from source to target on the training images and evaluate it on both subsets.

    What lies there under the same key is not made again. ``pictured``: keep the components of
    some test images, where the layers are maps.

    Raises
    ------
    FeatureError
        Layers of different kinds, constant features, too few images.
    """
    about = settings.consistency.model_dump(mode="json", exclude={"components", "memory_gb"})
    inputs = {"source": digest_of(source), "target": digest_of(target)}
    key = product_key(
        {"fit": about, "seed": settings.seed, "name": name}, inputs, "kc.comparison.fits"
    )
    kept = _kept(name, key, target, settings, out) if pictured else None
    with Product(out / "fits" / name, key, FILES) as product:
        if not product.is_done():
            _make(name, product, pair_of(source, target, settings, device), target, settings, kept)
        elif kept is not None and not kept.is_done():
            pair = pair_of(source, target, settings, device)
            evaluate(load_fit(product.folder, device), pair, {}, kept)
    card = read_card(product.folder, files=["variances.csv"])
    variances = pd.read_csv(product.folder / "variances.csv")
    return Fitted(card, variances, None if kept is None else kept.path)


def digest_of(array: StoredArray) -> str:
    """Hash one array of a store: other layers beside it cost no fit."""
    manifest = array.store.manifest
    return content_digest(
        {"array": manifest["arrays"][array.name], "rows": manifest["coordinates"]}
    )


def pair_of(
    source: StoredArray, target: StoredArray, settings: CompareSettings, device: torch.device
) -> Pair:
    """Say how both layers are fed: from memory where they fit into it, else block by block."""
    return pair_up(source, target, device, source.shard_rows, settings.consistency.memory_gb)


def _make(
    name: str,
    product: Product,
    pair: Pair,
    target: StoredArray,
    settings: CompareSettings,
    kept: Kept | None,
) -> None:
    """Fit, evaluate and write one direction; the card comes last."""
    begun = time.monotonic()
    product.start()
    subsets: dict[str, Rows] = {subset: rows_in(target.rows, subset) for subset in SUBSETS}
    resume = Resume(product.folder / STATE)
    result = _fit(name, pair, subsets["train"], settings, resume)
    files = save_fit(result, product.folder)
    moments = evaluate(result, pair, subsets, kept)
    files += write_variances(moments, result.net.order, product.folder)
    card = _card(name, result, pair.device)
    card["rows"] = {subset: len(rows) for subset, rows in subsets.items()}
    product.finish(card | {"seconds": round(time.monotonic() - begun, 2)}, files)


def _fit(
    name: str, pair: Pair, train: Rows, settings: CompareSettings, resume: Resume
) -> FitResult:
    about = settings.consistency
    return fit(
        pair.source,
        pair.target,
        order=about.order,
        penalty=float(about.penalty),
        preset=about.preset,
        optimiser=about.optimiser,
        kernel_size=about.kernel_size,
        train=train,
        seed=derive_seed("fit", settings.seed, name),
        device=pair.device,
        block_rows=pair.block_rows,
        buffer_blocks=about.buffer_shards,
        memory_gb=about.memory_gb,
        precision=about.precision,
        resume=resume,
    )


def _kept(
    name: str, key: str, target: StoredArray, settings: CompareSettings, out: Path
) -> Kept | None:
    """Say which components are kept: of maps, for pictures, unless none are wanted."""
    shape = target.shape[1:]
    if settings.consistency.components == "none" or len(shape) != 3:
        return None
    rows = rows_in(target.rows, "test")[:PICTURED]
    names = tuple(component_names(settings.consistency.order))
    spec = ArraySpec(
        name="component",
        dims=("component", "image", *FEATURE_DIMS[3]),
        shape=(len(names), len(rows), *shape),
        dtype="float16",
    )
    inner = product_key({"rows": len(rows)}, {"fit": key}, "kc.consistency.evaluate")
    return Kept(out / "components" / f"{name}.zarr", inner, rows, target.store, spec, names)


def _card(name: str, result: FitResult, device: torch.device) -> dict[str, Any]:
    """Say what was fitted, how far it came, and how many positions there were for a weight."""
    net = result.net
    positions = int(np.prod(net.target_shape)) // channels_of(net.target_shape)
    weights = net.weights[0][0].numel()
    return {
        "fit": name,
        "source_shape": list(net.source_shape),
        "target_shape": list(net.target_shape),
        "resized": net.on_maps and net.source_shape[1:] != net.target_shape[1:],
        "preset": result.preset,
        "penalty": result.penalty,
        "p": net.gains.tolist(),
        "chosen": result.chosen.line(),
        "epochs": int(result.history["epoch"].max()),
        "positions_per_image": positions,
        "weights_per_channel": weights,
        "positions_per_weight": len(result.train) * positions / weights,
        "normalisation": result.normalisation._asdict(),
        "seed": result.seed,
        "device": str(device),
        "versions": versions(),
    }
