"""One direction of a comparison as files: g, its variances, and the components pictures need."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from kc.comparison.settings import CompareSettings
from kc.consistency.component_store import Kept
from kc.consistency.data import Pair, pair_up
from kc.consistency.fit_product import FitProduct, make_fit, positions_of
from kc.consistency.order import Rows
from kc.consistency.result import FitResult
from kc.consistency.variance import Moments
from kc.images.rows import rows_in
from kc.names import SUBSETS
from kc.provenance import product_key
from kc.runtime import derive_seed
from kc.store import StoredArray
from kc.store.files import content_digest
from kc.store.product import read_card

PICTURED = 512
"""Test images whose components are kept: the store's first, which are a random sample."""


class Workplace(NamedTuple):
    """Under which settings a comparison works, in which folder, on which device."""

    settings: CompareSettings
    out: Path
    device: torch.device


class Direction(NamedTuple):
    """Two stored layers, one to be told from the other."""

    name: str
    """Of its fit, and of all that is made beside it."""
    source: StoredArray
    target: StoredArray

    @property
    def inputs(self) -> dict[str, str]:
        """Hash both layers; others beside them in their stores cost no fit."""
        return {"source": _digest(self.source), "target": _digest(self.target)}

    def pair(self, at: Workplace) -> Pair:
        """Say how both are fed: from memory where they fit into it, else block by block."""
        memory_gb = at.settings.consistency.memory_gb
        return pair_up(self.source, self.target, at.device, self.source.shard_rows, memory_gb)


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


def fit_direction(of: Direction, at: Workplace, pictured: bool = True) -> Fitted:
    """Fit g from source to target on the training images and evaluate it on both subsets.

    What lies there under the same key is not made again. ``pictured``: keep the components of
    some test images, where the layers are maps.

    Raises
    ------
    FeatureError
        Layers of different kinds, constant features, too few images.
    """
    settings, seed = at.settings.consistency, at.settings.seed
    about = settings.model_dump(mode="json", exclude={"components", "memory_gb"})
    key = product_key(
        {"fit": about, "seed": seed, "name": of.name}, of.inputs, "kc.comparison.fits"
    )
    kept = _kept(of, key, at) if pictured else None
    subsets: dict[str, Rows] = {subset: rows_in(of.target.rows, subset) for subset in SUBSETS}

    def told(result: FitResult, _: Mapping[str, Moments]) -> dict[str, Any]:
        """Say what the fit is of, and on how many images."""
        return {
            "source_shape": list(result.net.source_shape),
            "target_shape": list(result.net.target_shape),
            "positions_per_image": positions_of(result.net.target_shape),
            "weights_per_channel": result.net.weights[0][0].numel(),
            "rows": {subset: len(rows) for subset, rows in subsets.items()},
        }

    folder = make_fit(
        FitProduct(
            of.name,
            key,
            settings,
            derive_seed("fit", seed, of.name),
            subsets,
            lambda: of.pair(at),
            told,
            kept,
        ),
        at.out,
    )
    card = read_card(folder, files=["variances.csv"])
    variances = pd.read_csv(folder / "variances.csv")
    return Fitted(card, variances, None if kept is None else kept.path)


def _digest(array: StoredArray) -> str:
    manifest = array.store.manifest
    return content_digest(
        {"array": manifest["arrays"][array.name], "rows": manifest["coordinates"]}
    )


def _kept(of: Direction, key: str, at: Workplace) -> Kept | None:
    """Say which components are kept: of maps, for pictures, unless none are wanted."""
    settings = at.settings.consistency
    if settings.components == "none" or len(of.target.shape) != 4:
        return None
    rows = rows_in(of.target.rows, "test")[:PICTURED]
    inner = product_key({"rows": len(rows)}, {"fit": key}, "kc.consistency.evaluate")
    path = at.out / "components" / f"{of.name}.zarr"
    return Kept(path, inner, rows, of.target, settings.order)
