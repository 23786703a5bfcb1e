"""One direction of a comparison as files: g, its variances, and the components pictures need."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd

from kc.comparison.workplace import Direction, Workplace
from kc.consistency.component_store import Kept
from kc.consistency.fit_product import FitProduct, make_fit
from kc.consistency.net import positions_of
from kc.consistency.order import Rows
from kc.consistency.rank import Rank, with_rank
from kc.consistency.result import FitResult
from kc.consistency.saved import load_fit
from kc.consistency.variance import Moments
from kc.images.rows import rows_in
from kc.names import SUBSETS, Shape
from kc.provenance import product_key
from kc.runtime import derive_seed
from kc.store.product import read_card

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


def shapes_of(of: Direction) -> tuple[Shape, Shape]:
    """Give the shapes of one image's source and target features."""
    return of.source.shape[1:], of.target.shape[1:]


class Variant(NamedTuple):
    """A fit beside a direction's own."""

    suffix: str = ""
    """Of its folder."""
    changes: Mapping[str, Any] = MappingProxyType({})
    """Of the settings."""
    is_reseeded: bool = False
    """Another seed; else the same one, so that images and units are the same."""
    follows: bool = False
    """Trained from the direction's own g (afresh where that is the linear start), and kept as
    training ends: a step along a path."""


OWN = Variant()


def fit_direction(
    of: Direction,
    at: Workplace,
    rank: Rank = None,
    pictured: bool = True,
    variant: Variant = OWN,
) -> Fitted:
    """Fit g from source to target on the training images and evaluate it on both subsets.

    What lies there under the same key is not made again. ``rank``: the table's, where settings
    leave it to the images. ``pictured``: keep the components of some test images, where the
    layers are maps.

    Raises
    ------
    FeatureError
        Layers of different kinds, constant features, too few images.
    """
    changed = at.settings.consistency.model_copy(update=dict(variant.changes))
    settings = with_rank(changed, *shapes_of(of), rank)
    seed, name = at.settings.seed, of.name + variant.suffix
    own = at.out / "fits" / of.name
    about = settings.model_dump(mode="json", exclude={"components", "memory_gb"})
    seeded = name if variant.is_reseeded else of.name
    inputs, goes_on = of.inputs, False
    if variant.follows:
        card = read_card(own)
        inputs = inputs | {"initial": card["key"]}
        # the linear start has its gains shut, where a sigmoid has no slope to open them by
        goes_on = card["chosen"]["stage"] != "start"
    key = product_key({"fit": about, "seed": seed, "name": seeded}, inputs, "kc.comparison.fits")
    kept = _kept(of, key, at) if pictured else None
    subsets: dict[str, Rows] = {subset: rows_in(of.target.rows, subset) for subset in SUBSETS}

    def told(result: FitResult, _: Mapping[str, Moments]) -> dict[str, Any]:
        """Say what the fit is of, and on how many images."""
        return {
            "source_shape": list(result.net.source_shape),
            "target_shape": list(result.net.target_shape),
            "positions_per_image": positions_of(result.net.target_shape),
            "weights_per_channel": result.net.weights_per_channel,
            "rows": {subset: len(rows) for subset, rows in subsets.items()},
        }

    folder = make_fit(
        FitProduct(
            name,
            key,
            settings,
            derive_seed("fit", seed, seeded),
            subsets,
            lambda: of.pair(at),
            told,
            kept,
            initial=(lambda: load_fit(own, at.device).net) if goes_on else None,
            choose="last" if variant.follows else "validation",
        ),
        at.out,
    )
    card = read_card(folder, files=["variances.csv"])
    variances = pd.read_csv(folder / "variances.csv")
    return Fitted(card, variances, None if kept is None else kept.path)


def _kept(of: Direction, key: str, at: Workplace) -> Kept | None:
    """Say which components are kept: of maps, for pictures, unless none are wanted."""
    settings = at.settings.consistency
    if settings.components == "none" or len(of.target.shape) != 4:
        return None
    rows = rows_in(of.target.rows, "test")[:PICTURED]
    inner = product_key({"rows": len(rows)}, {"fit": key}, "kc.consistency.evaluate")
    path = at.out / "components" / f"{of.name}.zarr"
    return Kept(path, inner, rows, of.target, settings.order)
