"""Store the components of a fit: (component, image, channel, y, x), float16.

They are checked against the forward pass in float32 before they are stored.
"""

from dataclasses import dataclass
from pathlib import Path

from kc.consistency.order import Rows
from kc.errors import StoreError
from kc.images.rows import rows_in
from kc.names import FEATURE_DIMS, Subset, component_names
from kc.plans.commands import remake
from kc.plans.products import FitPlan
from kc.provenance import product_key
from kc.settings.reconstruction import Consistency
from kc.store import ArraySpec, StoreContent, StoredArray, StoreWriter, open_store
from kc.store.part import Destination

SHARD_ROWS = 256


@dataclass(frozen=True)
class Kept:
    """A component store to be written: path, key and rows."""

    path: Path
    key: str
    rows: Rows
    """Rows of the target's store, in order."""
    target: StoredArray
    order: int
    """K."""
    root: str = ""
    """See :class:`kc.store.StoreWriter`."""
    fit_key: str = ""
    """Key of the fit of the components."""
    mend: str = ""
    """See :class:`kc.store.StoreWriter`."""

    @property
    def spec(self) -> ArraySpec:
        """Description of the array."""
        shape = tuple(self.target.shape[1:])
        return ArraySpec(
            name="component",
            dims=("component", "image", *FEATURE_DIMS[len(shape)]),
            shape=(len(component_names(self.order)), len(self.rows), *shape),
            dtype="float16",
        )

    def is_done(self) -> bool:
        """Return whether the store is complete and has this key."""
        try:
            store = open_store(self.path)
            return bool(store.manifest["key"] == self.key) and not store.verify()
        except StoreError:
            return False

    def writer(self) -> StoreWriter:
        """Open the store for writing."""
        return StoreWriter(
            self.path,
            self.key,
            StoreContent(
                [self.spec],
                self.target.rows.iloc[self.rows].reset_index(drop=True),
                SHARD_ROWS,
                attributes={"component": component_names(self.order), "fit_key": self.fit_key},
            ),
            mend=self.mend,
            root=self.root,
        )

    def shards(self) -> list[tuple[int, Rows]]:
        """Return the rows of each shard."""
        begins = range(0, len(self.rows), SHARD_ROWS)
        return [(n, self.rows[begin : begin + SHARD_ROWS]) for n, begin in enumerate(begins)]


def kept_of(
    plan: FitPlan, settings: Consistency, fit_key: str, target: StoredArray, out: Destination
) -> Kept | None:
    """Return the components to keep: none, those of the test images, or all."""
    if settings.components == "none" or not plan.keep:
        return None
    subset: Subset | None = "test" if settings.components == "test" else None
    rows = rows_in(target.rows, subset, plan.only)
    key = product_key(
        {"components": settings.components}, {"fit": fit_key}, "kc.consistency.evaluate"
    )
    path = out.folder / "components" / f"{plan.name}.zarr"
    mend = remake(path.with_suffix(".json"))
    return Kept(path, key, rows, target, settings.order, out.root, fit_key, mend)
