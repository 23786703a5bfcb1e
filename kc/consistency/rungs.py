"""Make the ladder of a fit: linear maps of each field, g of each order, the path over lambda."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from kc.consistency.data import FeaturePair
from kc.consistency.fit_product import FitProduct, make_fit
from kc.consistency.ladder import (
    IMAGES,
    VALUES,
    WIDEST,
    field_of,
    fields_of,
    flattened_rung,
    linear_rung,
)
from kc.consistency.moved import moved_shares
from kc.consistency.net import inputs_of
from kc.consistency.saved import load_fit
from kc.consistency.variants import varied
from kc.names import Shape, component_names
from kc.plans.variants import Variant
from kc.provenance import product_key
from kc.settings.reconstruction import Consistency
from kc.store.files import write_bytes_atomic
from kc.store.product import Product, read_card

LADDER, MOVED = "ladder.csv", "moved.csv"
ABOUT = (
    *("map", "order", "field", "penalty", "xdelta", "xdelta_train", "beyond_linear"),
    *("validation_mse", "settled"),
)
"""Columns of a ladder before those of the orders."""
FLAT = 0
"""Stands for the linear map of whole images in lists of fields."""


class Fitted(NamedTuple):
    """The card, variances and components of a fit, read from its files."""

    card: dict[str, Any]
    variances: pd.DataFrame
    """Columns: subset, component, variance."""
    components: Path | None = None
    """The store of components, if they are kept."""

    def share(self, subset: str) -> float:
        """Return Var(x^Delta) / Var(x*) of a subset: the fraction of variance unexplained."""
        return self.shares(subset, ["xdelta"])["xdelta"]

    def shares(self, subset: str, names: Sequence[str]) -> dict[str, float]:
        """Return the shares of the target's variance of some parts."""
        part = self.variances[self.variances["subset"] == subset]
        variance = part.set_index("component")["variance"]
        return {name: float(variance[name] / variance["target"]) for name in names}


class Ladder(NamedTuple):
    """Linear maps and fits of other orders and lambda, compared with one fit."""

    rungs: pd.DataFrame
    """One row for each map, test images except ``xdelta_train``: ``map`` (``linear``,
    ``flattened``, ``g``), ``order``, ``field``, ``penalty``, ``xdelta``, ``beyond_linear``,
    ``validation_mse`` (in units of the target's variance), ``settled``, orders' shares, gains."""
    moved: pd.DataFrame
    """By subset, shares of orders without their linear part
    (:func:`kc.consistency.moved.moved_shares`); empty if left out."""
    left_out: tuple[str, ...]
    """Linear maps that were not made."""

    def linear(self, field: int) -> float:
        """Return the share that the linear map of a field misses; NaN if it was left out."""
        rows = self.rungs[(self.rungs["map"] == "linear") & (self.rungs["field"] == field)]
        return float(rows["xdelta"].iloc[0]) if len(rows) else np.nan


def make_fitted(about: FitProduct, out: Path) -> Fitted:
    """Make a fit if it does not exist, and read its files."""
    folder = make_fit(about, out)
    card = read_card(folder, files=["variances.csv"])
    kept = None if about.kept is None else about.kept.path
    return Fitted(card, pd.read_csv(folder / "variances.csv"), kept)


def possible_fields(
    settings: Consistency, source: Shape, target: Shape
) -> tuple[list[int], list[str]]:
    """List the fields of the linear maps that can be made, and descriptions of the others."""
    found, left_out = [], []
    for field in fields_of(settings.order, settings.kernel_size, target):
        inputs = inputs_of(field, source)
        if inputs > WIDEST:
            left_out.append(f"{spell_field(field, target)} ({inputs} inputs, at most {WIDEST})")
        else:
            found.append(field)
    return ([*found, FLAT] if len(target) > 1 else found), left_out


def spell_field(field: int, target: Shape) -> str:
    """Format the field of a linear map."""
    if field == FLAT:
        return "flattened"
    return f"{field} x {field}" if len(target) == 3 else "linear"


def climb(
    own: FitProduct,
    out: Path,
    fields: Sequence[int],
    variants: Sequence[Variant] = (),
    left_out: Sequence[str] = (),
) -> Ladder:
    """Fit every g of a ladder and measure its linear maps; keep them in ``out/ladder/NAME``.

    A result with the same key is not made again; an interrupted run resumes at the next fit. The
    files of ``own`` are in ``out``; ``left_out`` describes maps that are not wanted.
    """
    fits = [make_fitted(own, out)]
    fits += [make_fitted(varied(own, variant, out), out) for variant in variants]
    key = product_key(
        {"fields": list(fields)},
        {fit.card["fit"]: fit.card["key"] for fit in fits},
        "kc.consistency.rungs",
    )
    with Product(out / "ladder" / own.name, key, [LADDER, MOVED]) as product:
        if not product.is_done():
            begun = time.monotonic()
            product.start()
            pair = own.pair()
            linear, moved = _linear(own, pair, out, fields)
            rungs = _rungs(fits, linear, pair.target_shape, own.settings)
            write_bytes_atomic(product.folder / LADDER, rungs.to_csv(index=False).encode())
            text = moved.rename_axis("subset").to_csv()
            write_bytes_atomic(product.folder / MOVED, text.encode())
            seconds = round(time.monotonic() - begun, 2)
            made = {"fit": own.name, "of": own.key, "seconds": seconds, "device": str(pair.device)}
            product.finish(made, [LADDER, MOVED])
    rungs = pd.read_csv(product.folder / LADDER)
    moved = pd.read_csv(product.folder / MOVED, index_col="subset")
    if FLAT in fields and "flattened" not in set(rungs["map"]):
        left_out = [*left_out, f"flattened (at most {IMAGES} training images and {VALUES} values)"]
    return Ladder(rungs, moved, tuple(left_out))


def _rungs(
    fits: Sequence[Fitted],
    linear: Mapping[int, Mapping[str, float]],
    target: Shape,
    settings: Consistency,
) -> pd.DataFrame:
    """Return linear maps and fits as one frame."""
    maps = [
        {"map": "linear" if field else "flattened", "order": 0, "field": field or np.nan}
        | {"xdelta": missed["test"], "xdelta_train": missed["train"]}
        for field, missed in linear.items()
    ]
    rows = []
    for fit in fits:
        field = field_of(len(fit.card["p"]), settings.kernel_size, target)
        rows.append(_of_fit(fit, field, linear.get(field, {}).get("test", np.nan)))
    rows.sort(key=lambda row: (row["order"], row["penalty"]))
    parts = component_names(settings.order)[:-1]
    names = [*ABOUT, *parts, "cross", *(f"p{k}" for k in range(1, len(parts)))]
    return pd.DataFrame([*maps, *rows]).reindex(columns=names)


def _of_fit(fit: Fitted, field: int, linear: float) -> dict[str, Any]:
    """Return the row of a g; ``linear``: what the linear map of its field misses."""
    card, order = fit.card, len(fit.card["p"])
    shares = fit.shares("test", ("xdelta", *component_names(order)[:-1], "cross"))
    row = {"map": "g", "order": order, "field": field, **shares}
    row |= {"beyond_linear": linear - shares["xdelta"], "xdelta_train": fit.share("train")}
    row |= {"validation_mse": card["chosen"]["validation_mse"]}
    row |= {name: card[name] for name in ("penalty", "settled")}
    return row | {f"p{k}": gain for k, gain in enumerate(card["p"], start=1)}


def _linear(
    own: FitProduct, pair: FeaturePair, out: Path, fields: Sequence[int]
) -> tuple[dict[int, dict[str, float]], pd.DataFrame]:
    """Return the shares missed by the linear map of each field, and the moved orders."""
    result = load_fit(out / "fits" / own.name, pair.device)
    found = {}
    for field in fields:
        if field == FLAT:
            missed = flattened_rung(result, pair, own.subsets)
        else:
            missed = linear_rung(result, pair, own.subsets, field, own.settings)
        if missed is not None:
            found[field] = missed
    base = field_of(0, own.settings.kernel_size, pair.target_shape)
    if base not in fields:
        return found, pd.DataFrame()
    return found, moved_shares(result, pair, own.subsets, own.settings)
