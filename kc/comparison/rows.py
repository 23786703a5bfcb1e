"""Match the rows of features to images, and choose training and test rows."""

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
"""Number of ids that an error lists for each kind of mismatch."""


class Paired(NamedTuple):
    """The rows of a comparison."""

    table: pd.DataFrame
    """``image_id`` and ``subset`` of each."""
    orders: list[np.ndarray]
    """For each side, the row of its file for each row of the table."""


def rows_of_arrays(sides: Sequence[OwnArrays], settings: CompareSettings) -> Paired:
    """Pair the rows of features that come without pictures, in a fixed random order.

    Ids and test rows are those of the first side that has any; otherwise test rows are drawn by
    ``settings.seed``. If a side has no ids, its row i is the other side's row i.

    Raises
    ------
    FeatureError
        Numbers of rows or ids differ, or there are too few rows.
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
    """Return the row of each wanted id among a side's ``own`` ids.

    Raises
    ------
    FeatureError
        Ids occur twice, are missing or not wanted; the error names some of each kind.
    """
    at = {str(name): row for row, name in enumerate(own)}
    if len(at) < len(own):
        repeated = pd.Series(own.astype(str))
        twice = repeated[repeated.duplicated()].iloc[0]
        raise FeatureError(
            f"{side.name}: id '{twice}' occurs twice; expected one per row. Fix: correct --ids."
        )
    asked = {str(name) for name in wanted}
    missing, spare = sorted(asked - set(at)), sorted(set(at) - asked)
    if missing or spare:
        kinds = {"missing in it": missing, "only in it": spare}
        told = "; ".join(f"{len(v)} {k} ({', '.join(v[:SHOWN])})" for k, v in kinds.items() if v)
        raise FeatureError(
            f"{side.name}: its images are not those of the comparison: {told}. Fix: features of "
            "the same images, under the same ids."
        )
    return np.array([at[str(name)] for name in wanted])


def _check_counts(sides: Sequence[OwnArrays], subsets: np.ndarray) -> None:
    found = {name: int((subsets == name).sum()) for name in LEAST}
    if any(found[name] < least for name, least in LEAST.items()):
        names = " and ".join(side.name for side in sides)
        raise FeatureError(
            f"{names}: too few rows: {found['train']} to fit g on and {found['test']} to test it "
            f"on; expected at least {LEAST['train']} and {LEAST['test']}. Fix: add rows; "
            "--test-share sets the share of test rows."
        )
