"""Read the files of fits and networks as dictionaries and frames."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kc.errors import StoreError
from kc.names import SUBSETS
from kc.plans.commands import fix_at, remake
from kc.plans.products import FitPlan, NetworkPlan
from kc.store.product import read_card

VARIANCE = {"paper": "variance", "released": "variance_released_centring"}
"""Column of ``variances.csv`` by preset: about one global mean, or one for each channel."""
PARTS = r"^x(\d+|delta)$"
"""Columns of the parts that sum to the feature; ``cross`` is Var(x*) minus their variances."""


def read_fit_card(plan: FitPlan, results: Path) -> dict[str, Any]:
    """Read a fit's ``card.json``.

    Raises
    ------
    StoreError
        The fit is missing, or is one of other networks or layers.
    """
    path = results / "fits" / plan.name / "card.json"
    card = _read(path, f"the fit from {plan.source.name} to {plan.target.name}")
    expected = [
        (plan.source.name, plan.source_layer),
        (plan.target.name, plan.target_layer),
    ]
    got = [(card[end]["network"], card[end]["layer"]) for end in ("source", "target")]
    if got != expected or (card["images"], card["only"]) != (plan.images, plan.only):
        raise StoreError(
            f"{path}: expected the fit from {_spell(expected)} on {_images(plan.images, plan.only)}"
            f", got that from {_spell(got)} on {_images(card['images'], card['only'])}. "
            f"Fix: {_fix(path)}"
        )
    return card


def read_variances(plan: FitPlan, preset: str, results: Path) -> pd.DataFrame:
    """Read a fit's variances: rows are subsets, columns x0.., xdelta, cross, target.

    Units: the target feature's, squared. Under ``released`` each channel has its own mean.

    Raises
    ------
    StoreError
        The file is missing, lacks a component, or holds a variance that is not finite.
    """
    path = results / "fits" / plan.name / "variances.csv"
    if not path.is_file():
        raise _missing(path, f"the variances of the fit {plan.name}")
    read_card(path.parent, _fix(path), [path.name])
    frame = pd.read_csv(path)
    wide = frame.pivot_table(
        index="subset", columns="component", values=VARIANCE[preset], sort=False, dropna=False
    )
    needed = ["x0", "xdelta", "cross", "target"]
    complete = set(needed) <= set(wide.columns) and set(SUBSETS) <= set(wide.index)
    if not complete or not np.isfinite(wide).all(axis=None) or (wide["target"] <= 0).any():
        raise StoreError(
            f"{path}: expected finite variances of x0.., xdelta, cross and target (above 0) on "
            f"{' and '.join(SUBSETS)}, got {sorted(map(str, wide.columns))} on "
            f"{sorted(map(str, wide.index))}. Fix: {_fix(path)}"
        )
    return wide


def read_network_card(plan: NetworkPlan, results: Path) -> dict[str, Any]:
    """Read a network's ``card.json``.

    Used of it: accuracy {test, train} (top-1, percent), images (trained on), device, seconds, key
    and digest.

    Raises
    ------
    StoreError
        The network is missing.
    """
    return _read(results / "networks" / plan.name / "card.json", f"the network {plan.name}")


def read_beside(plan: FitPlan, kind: str, file: str, results: Path) -> pd.DataFrame:
    """Read a table of a fit in ``kind/<fit>/`` (``ladder``, ``repeats``).

    Raises
    ------
    StoreError
        A file is missing or damaged, or was made from another fit than the present one.
    """
    folder = results / kind / plan.name
    read_card_beside(plan, kind, results, [file])
    return pd.read_csv(folder / file)


def read_card_beside(
    plan: FitPlan, kind: str, results: Path, files: Sequence[str] = ()
) -> dict[str, Any]:
    """Read the card of ``kind/<fit>/`` and check some files of it; see :func:`read_beside`."""
    folder = results / kind / plan.name
    card = _read(folder / "card.json", f"the {kind} of the fit {plan.name}", files)
    if card["of"] != read_fit_card(plan, results)["key"]:
        raise StoreError(
            f"{folder}: made from another fit {plan.name} than the present one. "
            f"Fix: {_fix(folder / 'card.json')}"
        )
    return card


def shares_of(fits: Iterable[FitPlan], case: str, results: Path) -> pd.DataFrame:
    """List the variances of all parts, one row for each fit and subset.

    Columns: case, network, layer, images, source_network, target_network, target_seed (of halves:
    number of the split), positions_per_weight, preset, penalty, gain, settled, resized, subset;
    variances x0..xK, xdelta, cross, target; and sum, that of x0..xK and xdelta.
    """
    rows = []
    for plan in fits:
        card = read_fit_card(plan, results)
        about = {
            "case": case,
            "network": plan.target.architecture,
            "layer": plan.target_layer,
            "images": plan.images,
            "source_network": plan.source.name,
            "target_network": plan.target.name,
            "target_seed": plan.target.seed,
            "positions_per_weight": float(card["positions_per_weight"]),
            "preset": str(card["preset"]),
            "penalty": float(card["penalty"]),
            "gain": str(card["gain"]),
            "settled": str(card["settled"]),
            "resized": bool(card["resized"]),
        }
        wide = read_variances(plan, card["preset"], results)
        rows += [
            about | {"subset": subset} | {part: float(wide[part][subset]) for part in wide.columns}
            for subset in SUBSETS[::-1]
        ]
    frame = pd.DataFrame(rows)
    return frame.assign(sum=frame.filter(regex=PARTS).sum(axis=1))


def _read(path: Path, what: str, files: Sequence[str] = ()) -> dict[str, Any]:
    if not path.is_file():
        raise _missing(path, what)
    return read_card(path.parent, _fix(path), files)


def _fix(path: Path) -> str:
    card = path.parent / "card.json"
    return fix_at(card, remake(card))


def _images(images: str, only: str) -> str:
    return f"{images} training images" + (f" of superclass '{only}'" if only else "")


def _missing(path: Path, what: str) -> StoreError:
    return StoreError(f"{path}: no such file; expected {what}. Fix: {_fix(path)}")


def _spell(ends: list[tuple[str, str]]) -> str:
    return " to ".join(f"{network} {layer}" for network, layer in ends)
