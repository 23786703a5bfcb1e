"""Average a table of single pairs or chains of networks, with intervals over what is independent.

Such a table has one row for each pair or chain, and columns ``source_network`` and
``target_network`` (pairs that share networks) or ``chain`` (groups that share none).
"""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from kc.studies.intervals import Estimate, Scale, over_groups, over_networks

type Averaging = Callable[[pd.DataFrame, str, Scale], Estimate]
"""Average a column of some rows."""


def over_pairs(rows: pd.DataFrame, column: str, scale: Scale = "plain") -> Estimate:
    """Average a column over pairs of networks; the interval is over networks."""
    first, second = list(rows["source_network"]), list(rows["target_network"])
    return over_networks(first, second, list(rows[column].astype(float)), scale=scale)


def over_chains(rows: pd.DataFrame, column: str, scale: Scale = "plain") -> Estimate:
    """Average a column over chains; the interval is over chains."""
    return over_groups(list(map(str, rows["chain"])), list(rows[column].astype(float)), scale=scale)


def averaged(
    frame: pd.DataFrame,
    by: Sequence[str],
    columns: Mapping[str, Scale],
    means: Sequence[str],
    averaging: Averaging,
) -> pd.DataFrame:
    """Average over pairs or chains.

    Parameters
    ----------
    frame
        One row for each pair or chain and group.
    by
        Columns that tell the groups; groups keep the order of their first rows.
    columns
        Columns with an interval, and the scale on which it is symmetric.
    means
        Columns of which only the mean is taken, over the values that are there.

    Returns
    -------
    DataFrame
        One row for each group: ``by``; NAME, NAME_low and NAME_high for each of ``columns``;
        ``means``; n (independent networks or chains), n_pairs (pairs or chains).
    """
    rows = []
    for key, group in frame.groupby(list(by), sort=False):
        row = dict(zip(by, key, strict=True))
        found = {name: averaging(group, name, scale) for name, scale in columns.items()}
        for name, estimate in found.items():
            ends = {f"{name}_low": estimate.low, f"{name}_high": estimate.high}
            row |= {name: estimate.mean} | ends
        row |= {name: float(group[name].mean()) for name in means}
        first = next(iter(found.values()))
        rows.append(row | {"n": first.n, "n_pairs": first.n_pairs})
    return pd.DataFrame(rows)
