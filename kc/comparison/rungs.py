"""The ladder of a direction: linear maps of each field, g of each order, the path over lambda."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from kc.comparison.estimate import (
    SLOWER,
    Work,
    flattened_operations,
    linear_operations,
    operations_of,
)
from kc.comparison.fits import Fitted, Variant, fit_direction
from kc.comparison.settings import CompareSettings
from kc.comparison.workplace import Direction, Workplace
from kc.consistency.ladder import (
    IMAGES,
    PENALTIES,
    VALUES,
    WIDEST,
    field_of,
    fields_of,
    flattened_rung,
    inputs_of,
    linear_rung,
)
from kc.consistency.moved import moved_shares
from kc.consistency.order import Rows
from kc.consistency.saved import load_fit
from kc.images.rows import rows_in
from kc.names import SUBSETS, component_names
from kc.provenance import product_key
from kc.store.files import write_bytes_atomic
from kc.store.product import Product, read_card

LINEAR, MOVED = "linear.csv", "moved.csv"
LEAST = 5e9
"""Operations that are never too many: about a second, as a fit of whatever size takes."""
ABOUT = (
    *("map", "order", "field", "penalty", "xdelta", "xdelta_train", "beyond_linear"),
    *("validation_mse", "settled"),
)
"""Columns of a ladder before the orders'."""
FLAT = 0
"""In place of a field: the map of whole images."""


class Ladder(NamedTuple):
    """What the orders of one direction are worth."""

    rungs: pd.DataFrame
    """A row a map, test images but for ``xdelta_train``: ``map`` (``linear``, ``flattened``,
    ``g``), ``order``, ``field``, ``penalty``, ``xdelta``, ``beyond_linear``,
    ``validation_mse`` (in units of the target's variance), ``settled``, orders' shares, gains."""
    moved: pd.DataFrame
    """By subset, shares of orders without what is linear in them
    (:func:`kc.consistency.moved.moved_shares`); empty where that was left out."""
    left_out: tuple[str, ...]
    """Linear maps that were not made."""

    def linear(self, field: int) -> float:
        """Return what the linear map of a field misses; NaN where it was left out."""
        rows = self.rungs[(self.rungs["map"] == "linear") & (self.rungs["field"] == field)]
        return float(rows["xdelta"].iloc[0]) if len(rows) else np.nan


def variants_of(settings: CompareSettings) -> list[Variant]:
    """List the fits of a whole ladder beside a direction's own."""
    of = settings.consistency
    lower = [Variant(f".K{k}", {"order": k}) for k in range(1, of.order)]
    path = [
        Variant(f".lambda-{penalty:g}", {"penalty": penalty}, follows=True)
        for penalty in PENALTIES
        if penalty != of.penalty and of.order
    ]
    return [*lower, *path]


def climb(of: Direction, own: Fitted, at: Workplace) -> Ladder:
    """Measure the linear maps of a direction, and with ``settings.ladder`` fit every g beside.

    Without it only the maps that cost less than the direction's own fit are made. What lies there
    under its key is not made again; a run that was killed goes on at the next fit.
    """
    fields, left_out = _fields(of, at)
    linear, moved = _linear(of, fields, at)
    variants = variants_of(at.settings) if at.settings.ladder else []
    fits = [own, *(fit_direction(of, at, pictured=False, variant=one) for one in variants)]
    if FLAT in fields and FLAT not in set(linear["field"]):
        left_out += (f"flattened (at most {IMAGES} training images and {VALUES} values)",)
    known = linear.set_index("field")["xdelta"]
    rows = [_of_fit(fit, at.settings, known) for fit in fits]
    rows.sort(key=lambda row: (row["order"], row["penalty"]))
    maps = [
        row | {"field": np.nan if row["field"] == FLAT else row["field"]}
        for row in linear.to_dict("records")
    ]
    parts = component_names(at.settings.consistency.order)[:-1]
    names = [*ABOUT, *parts, "cross", *(f"p{k}" for k in range(1, len(parts)))]
    return Ladder(pd.DataFrame([*maps, *rows]).reindex(columns=names), moved, left_out)


def _of_fit(fit: Fitted, settings: CompareSettings, known: "pd.Series[float]") -> dict[str, Any]:
    """Give the row of a g; what it gains is over the linear map of its own field."""
    gains = fit.card["p"]
    order = len(gains)
    field = field_of(order, settings.consistency.kernel_size, tuple(fit.card["target_shape"]))
    shares = fit.shares("test", ("xdelta", *component_names(order)[:-1], "cross"))
    row = {"map": "g", "order": order, "field": field, "penalty": fit.card["penalty"]}
    row |= {"xdelta": shares.pop("xdelta"), "xdelta_train": fit.share("train")}
    row |= {"beyond_linear": known.get(field, np.nan) - row["xdelta"]}
    row |= {"validation_mse": fit.card["chosen"]["validation_mse"]}
    row |= {"settled": fit.card["settled"], **shares}
    return row | {f"p{k}": gain for k, gain in enumerate(gains, start=1)}


def _fields(of: Direction, at: Workplace) -> tuple[list[int], tuple[str, ...]]:
    """Choose the linear maps: all that can be made, or those that cost less than the fit."""
    settings = at.settings
    work = Work(tuple(of.source.shape[1:]), tuple(of.target.shape[1:]))
    images = len(rows_in(of.target.rows, "train"))
    # a linear map is made of matrix products
    most = max(LEAST, SLOWER * operations_of(work, images, settings))
    most = np.inf if settings.ladder else most
    found, left_out = [], []
    for field in fields_of(
        settings.consistency.order, settings.consistency.kernel_size, work.target
    ):
        told = f"{field} x {field}" if len(work.target) == 3 else "linear"
        if inputs_of(field, work.source) > WIDEST:
            left_out.append(f"{told} ({inputs_of(field, work.source)} inputs, at most {WIDEST})")
        elif linear_operations(work, images, field) > most:
            left_out.append(f"{told} (it costs more than the fit: --ladder)")
        else:
            found.append(field)
    if len(work.target) > 1:
        if flattened_operations(work, images) > most:
            left_out.append("flattened (it costs more than the fit: --ladder)")
        else:
            found.append(FLAT)
    return found, tuple(left_out)


def _linear(
    of: Direction, fields: Sequence[int], at: Workplace
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the rows of linear maps, and the orders without what is linear; made once."""
    fitted, settings = at.out / "fits" / of.name, at.settings.consistency
    key = product_key(
        {"fields": list(fields)}, {"fit": read_card(fitted)["key"]}, "kc.comparison.rungs"
    )
    with Product(at.out / "ladder" / of.name, key, [LINEAR, MOVED]) as product:
        if not product.is_done():
            begun = time.monotonic()
            product.start()
            result, pair = load_fit(fitted, at.device), of.pair(at)
            subsets: dict[str, Rows] = {name: rows_in(of.target.rows, name) for name in SUBSETS}
            rows = []
            for field in fields:
                if field == FLAT:
                    missed = flattened_rung(result, pair, subsets)
                else:
                    missed = linear_rung(result, pair, subsets, field, settings)
                if missed is not None:
                    name = "flattened" if field == FLAT else "linear"
                    rows.append((name, 0, field, missed["test"], missed["train"]))
            columns = ["map", "order", "field", "xdelta", "xdelta_train"]
            has_base = field_of(0, settings.kernel_size, pair.target_shape) in fields
            moved = moved_shares(result, pair, subsets, settings) if has_base else pd.DataFrame()
            for file, frame in (
                (LINEAR, pd.DataFrame(rows, columns=columns).to_csv(index=False)),
                (MOVED, moved.rename_axis("subset").to_csv()),
            ):
                write_bytes_atomic(product.folder / file, frame.encode())
            seconds = round(time.monotonic() - begun, 2)
            product.finish({"seconds": seconds, "device": str(at.device)}, [LINEAR, MOVED])
    moved = pd.read_csv(product.folder / MOVED, index_col="subset")
    return pd.read_csv(product.folder / LINEAR), moved
