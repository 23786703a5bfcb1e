"""Which row of which feature is which image, and whether it is fitted or tested on."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from kc.comparison.arrays import OwnArrays
from kc.comparison.pictures import LEAST, drawn_subsets
from kc.comparison.settings import CompareSettings
from kc.errors import FeatureError
from kc.images.build import row_order

SHOWN = 3
"""Ids listed of each kind of mismatch."""


class Paired(NamedTuple):
    """The rows of a comparison."""

    table: pd.DataFrame
    """``image_id`` and ``subset`` of each."""
    orders: list[np.ndarray]
    """For each side, the row of its file that each is."""


def rows_of_arrays(sides: Sequence[OwnArrays], settings: CompareSettings) -> Paired:
    """Pair the rows of features that came without pictures, in a fixed random order.

    Ids are those of the first side that has any, and so is what is tested on, which else is drawn
    by ``settings.seed``. Without ids on both sides, row i of both is the same.

    Raises
    ------
    FeatureError
        Features of different numbers of rows or of different ids, too few rows.
    """
    counts = [len(side) for side in sides]
    if len(set(counts)) > 1:
        told = " and ".join(f"{side.name} has {len(side)}" for side in sides)
        raise FeatureError(
            f"{told} rows: row i of both must be the same image (or sentence, or sound). "
            "Fix: make both from the same list."
        )
    given = [side.ids for side in sides if side.ids is not None]
    ids = given[0] if given else np.array([f"row-{n:07d}" for n in range(counts[0])], object)
    places = [
        np.arange(len(ids)) if side.ids is None else order_in(side, side.ids, ids) for side in sides
    ]
    tested = [
        side.subsets[place]
        for side, place in zip(sides, places, strict=True)
        if side.subsets is not None
    ]
    drawn = drawn_subsets(len(ids), settings.test_share, settings.seed)
    subsets = tested[0] if tested else drawn
    _check_counts(sides, subsets)
    order = np.array(row_order(list(map(str, ids)), settings.seed))
    table = pd.DataFrame({"image_id": ids[order], "subset": subsets[order]})
    return Paired(table, [place[order] for place in places])


def order_in(side: OwnArrays, own: np.ndarray, wanted: Sequence[str] | np.ndarray) -> np.ndarray:
    """Return the row of each id wanted, among a side's ``own`` ids.

    Raises
    ------
    FeatureError
        Ids that stand twice, or are not the ones wanted; some of each kind are named.
    """
    at = {str(name): row for row, name in enumerate(own)}
    if len(at) < len(own):
        repeated = pd.Series(own.astype(str))
        twice = repeated[repeated.duplicated()].iloc[0]
        raise FeatureError(
            f"{side.name}: id '{twice}' stands twice; each row has its own. Fix: mend --ids."
        )
    asked = {str(name) for name in wanted}
    missing, spare = sorted(asked - set(at)), sorted(set(at) - asked)
    if missing or spare:
        kinds = {"missing in it": missing, "only in it": spare}
        told = "; ".join(f"{len(v)} {k} ({', '.join(v[:SHOWN])})" for k, v in kinds.items() if v)
        raise FeatureError(
            f"{side.name}: other images than those it is compared on: {told}. Fix: features of "
            "the same images, under the same ids."
        )
    return np.array([at[str(name)] for name in wanted])


def _check_counts(sides: Sequence[OwnArrays], subsets: np.ndarray) -> None:
    found = {name: int((subsets == name).sum()) for name in LEAST}
    if any(found[name] < least for name, least in LEAST.items()):
        names = " and ".join(side.name for side in sides)
        raise FeatureError(
            f"{names}: too few rows: {found['train']} to fit g on and {found['test']} to test it "
            f"on; expected {LEAST['train']} and {LEAST['test']} at the very least. Fix: "
            "more rows; --test-share says how many of them are tested on."
        )
