"""Build the table of shares and its warnings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kc.comparison import notes
from kc.consistency.rungs import Fitted, Ladder
from kc.names import SUBSETS, component_names

LINEAR = ("linear_share_patches", "linear_share_positions")
"""Similarity measures whose linear maps g contains."""
SPREAD = "_spread"
"""Suffix of a column: largest minus smallest over the seeds of g."""

Ends = tuple[str, str]
"""Source and target."""
Repeated = Mapping[Ends, Sequence[Fitted]]
"""The fits of each direction: first its own, then those with other seeds of g."""


def shares_table(fits: Repeated, ladders: Mapping[Ends, Ladder], order: int) -> pd.DataFrame:
    """Return one row for each direction and subset, test images first."""
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
    """Return each share, and its spread if there are several fits."""
    row = {}
    for name, value in some[0].items():
        row[name] = value
        if len(some) > 1:
            row[name + SPREAD] = float(np.ptp([one[name] for one in some]))
    return row


def both_ways(frames: Mapping[Ends, pd.DataFrame]) -> pd.DataFrame:
    """Concatenate the frames of both directions, with columns of target and source."""
    found = [frame.assign(target=t, source=s) for (s, t), frame in frames.items()]
    return pd.concat(found, ignore_index=True)[["target", "source", *[*found[0]][:-2]]]


def warnings_of(
    fits: Repeated, peers: pd.DataFrame, ladders: Mapping[Ends, Ladder], base: int
) -> list[str]:
    """Return warnings of misleading shares, with the numbers.

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
    """Return notes on the spread over seeds of g, and on orders smaller than their spread."""
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
        "validation cuts); the value is that of the first fit."
    )
    if not told:
        return [first]
    return [first, f"Not distinguishable from 0, test images: {', '.join(told)}."]


def one_ladder(
    ladders: Mapping[Ends, Ladder], penalty: float
) -> tuple[pd.DataFrame | None, tuple[str, ...]]:
    """Return the ladders of both directions as one frame, and its notes."""
    if not ladders:
        return None, ()
    whole = both_ways({ends: ladder.rungs for ends, ladder in ladders.items()})
    left_out = {f"{s} to {t}": ladder.left_out for (s, t), ladder in ladders.items()}
    return whole, notes.of_ladder(whole, penalty, left_out)
