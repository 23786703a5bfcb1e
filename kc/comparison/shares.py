"""The table of shares, and what must be said of it first."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kc.comparison import notes
from kc.consistency.rungs import Fitted, Ladder
from kc.names import SUBSETS, component_names

LINEAR = ("linear_share_patches", "linear_share_positions")
"""Of the other measures, what g contains."""
SPREAD = "_spread"
"""Ending of a column: largest minus smallest over the seeds of g."""

Ends = tuple[str, str]
"""Source and target."""
Repeated = Mapping[Ends, Sequence[Fitted]]
"""The fits of each direction: its own first, then those with other seeds of g."""


def shares_table(fits: Repeated, ladders: Mapping[Ends, Ladder], order: int) -> pd.DataFrame:
    """Return one row a direction and subset, held-out images first."""
    names = ("xdelta", *component_names(order)[:-1], "cross")
    rows = []
    for (source, target), some in fits.items():
        card = some[0].card
        for subset in reversed(SUBSETS):
            row: dict[str, Any] = {"target": target, "source": source, "subset": subset}
            row |= _with_spread([fit.shares(subset, names) for fit in some])
            moved = pd.DataFrame() if not ladders else ladders[source, target].moved
            if len(moved) and order:
                row |= {str(name): moved[name][subset] for name in moved}
            row |= {"settled": card["settled"], "images": card["rows"][subset]}
            row["positions_per_weight"] = float(card["positions_per_weight"])
            rows.append(row | {f"p{k}": p for k, p in enumerate(card["p"], start=1)})
    return pd.DataFrame(rows)


def _with_spread(some: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Lay the spread of each share beside it, where there are several fits."""
    row = {}
    for name, value in some[0].items():
        row[name] = value
        if len(some) > 1:
            row[name + SPREAD] = float(np.ptp([one[name] for one in some]))
    return row


def both_ways(frames: Mapping[Ends, pd.DataFrame]) -> pd.DataFrame:
    """Lay the frames of both directions below one another, with columns of target and source."""
    found = [frame.assign(target=t, source=s) for (s, t), frame in frames.items()]
    return pd.concat(found, ignore_index=True)[["target", "source", *[*found[0]][:-2]]]


def warnings_of(
    fits: Repeated, peers: pd.DataFrame, ladders: Mapping[Ends, Ladder], base: int
) -> list[str]:
    """Describe which shares are not what they seem, with the numbers.

    ``base``: field of the linear map that g contains.
    """
    measured = peers.set_index("target")
    found = []
    for (source, target), some in fits.items():
        fitted = some[0]
        of = {subset: fitted.share(subset) for subset in SUBSETS}
        direction = f"from {source} to {target}"
        linear = [float(measured[name][target]) for name in LINEAR]
        linear += [ladders[source, target].linear(base)] if ladders else []
        least = min((share for share in linear if np.isfinite(share)), default=np.nan)
        found += [
            notes.far_from_linear(direction, of["test"], least),
            notes.not_settled(direction, fitted.card),
            notes.worse_than_linear(direction.capitalize(), fitted.card, of),
            notes.too_few(direction.capitalize(), fitted.card, of),
        ]
    return [warning for warning in found if warning is not None]


def of_spread(shares: pd.DataFrame, repeats: int) -> list[str]:
    """Describe which orders cannot be told apart, as their spread over seeds of g exceeds them."""
    if repeats < 2:
        return []
    told = []
    for row in shares[shares["subset"] == "test"].to_dict("records"):
        for column in shares.filter(regex=rf"{SPREAD}$"):
            name = str(column).removesuffix(SPREAD)
            if row[column] > abs(row[name]):
                told.append(
                    f"{name} of {row['target']} from {row['source']} ({row[name]:.3f}, spread "
                    f"{row[column]:.3f})"
                )
    first = (
        f"_spread: largest minus smallest of {repeats} fits with other seeds of g (and other "
        "validation cuts); the value is the first fit's."
    )
    if not told:
        return [first]
    return [first, f"Cannot be told apart from nothing, test images: {', '.join(told)}."]


def one_ladder(
    ladders: Mapping[Ends, Ladder], penalty: float
) -> tuple[pd.DataFrame | None, tuple[str, ...]]:
    """Lay the ladders of both directions below one another; say what they are."""
    if not ladders:
        return None, ()
    whole = both_ways({ends: ladder.rungs for ends, ladder in ladders.items()})
    left_out = {f"{s} to {t}": ladder.left_out for (s, t), ladder in ladders.items()}
    return whole, notes.of_ladder(whole, penalty, left_out)
