"""Describe the files of one direction: g, its variances, and the components for pictures."""

from collections.abc import Mapping
from typing import Any

from kc.comparison.workplace import Direction, Workplace
from kc.consistency.component_store import Kept
from kc.consistency.fit_product import FitProduct
from kc.consistency.net import positions_of
from kc.consistency.order import Rows
from kc.consistency.rank import Rank, with_rank
from kc.consistency.result import FitResult
from kc.consistency.variance import Moments
from kc.images.rows import rows_in
from kc.names import SUBSETS, Shape
from kc.provenance import product_key
from kc.runtime import derive_seed

PICTURED = 512
"""Number of test images whose components are kept: the first rows, which are a random sample."""


def shapes_of(of: Direction) -> tuple[Shape, Shape]:
    """Return the shapes of one image's source and target features."""
    return of.source.shape[1:], of.target.shape[1:]


def direction_product(
    of: Direction, at: Workplace, rank: Rank = None, pictured: bool = True
) -> FitProduct:
    """Describe what a direction's files are made from.

    ``rank``: the rank of the whole table, if the settings have ``auto``. ``pictured``: keep the
    components of some test images, if the layers are maps.
    """
    settings = with_rank(at.settings.consistency, *shapes_of(of), rank)
    about = settings.model_dump(mode="json", exclude={"components", "memory_gb"})
    seed = at.settings.seed
    key = product_key(
        {"fit": about, "seed": seed, "name": of.name}, of.inputs, "kc.comparison.fits"
    )
    subsets: dict[str, Rows] = {subset: rows_in(of.target.rows, subset) for subset in SUBSETS}

    def told(result: FitResult, _: Mapping[str, Moments]) -> dict[str, Any]:
        """Return the card's entries on shapes and numbers of images."""
        return {
            "source_shape": list(result.net.source_shape),
            "target_shape": list(result.net.target_shape),
            "positions_per_image": positions_of(result.net.target_shape),
            "weights_per_channel": result.net.weights_per_channel,
            "rows": {subset: len(rows) for subset, rows in subsets.items()},
        }

    return FitProduct(
        of.name,
        key,
        settings,
        derive_seed("fit", seed, of.name),
        subsets,
        lambda: of.pair(at),
        told,
        _kept(of, key, at) if pictured else None,
    )


def _kept(of: Direction, key: str, at: Workplace) -> Kept | None:
    """Return the components to keep: of maps, for pictures, unless the settings keep none."""
    settings = at.settings.consistency
    if settings.components == "none" or len(of.target.shape) != 4:
        return None
    rows = rows_in(of.target.rows, "test")[:PICTURED]
    inner = product_key({"rows": len(rows)}, {"fit": key}, "kc.consistency.evaluate")
    path = at.out / "components" / f"{of.name}.zarr"
    return Kept(path, inner, rows, of.target, settings.order)
