"""Write what studies of chains of networks share: table, table of single chains, curves."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from kc.plans.registry import STUDIES
from kc.plans.study import StudyPlan
from kc.report.curves import CurveAxis, curves_figure
from kc.report.dots import DotRow, dots_figure
from kc.report.figures import write_figure
from kc.report.tables import Column, TableText
from kc.settings.whole import Settings
from kc.studies.origin import write_study_table
from kc.studies.verdicts import Claim
from kc.studies.wording import CHAINS, INCONSISTENCY

SHARE = CurveAxis("share", "Var(x$^\\Delta$) / Var(x*)")
ACCURACY_AXIS = CurveAxis("top1", "top-1 (%)")


class ChainTables(NamedTuple):
    """The table of a study and that of its chains."""

    table: pd.DataFrame
    """From :func:`kc.studies.inconsistent.mean_shares`."""
    chains: pd.DataFrame
    """Its input."""


def write_chain_tables(
    settings: Settings,
    plan: StudyPlan,
    study: str,
    tables: ChainTables,
    text: TableText,
    columns: Mapping[str, Column],
    claims: Sequence[Claim],
) -> None:
    """Write the table of a study with its claims, and the table of its single chains."""
    (details,) = STUDIES[study].details
    headers = {**INCONSISTENCY, **columns}
    text = text._replace(notes=[*text.notes, CHAINS])
    write_study_table(settings, study, plan, tables.table, text, headers, claims=claims)
    single = TableText(f"{text.title}, by chain", "The numbers of every chain of networks.", [])
    write_study_table(settings, study, plan, tables.chains, single, headers, details)


def draw_chain_curves(
    settings: Settings,
    tables: ChainTables,
    name: str,
    axes: tuple[CurveAxis, CurveAxis, CurveAxis],
    along: str,
) -> None:
    """Draw the mean of all chains with its interval, and each chain as a dot [L20, Fig. 4].

    Parameters
    ----------
    name
        Name of the figure.
    axes
        The x axis, and what is drawn against it in the left and in the right panel.
    along
        Column in whose order points are joined.
    """
    table = tables.table.rename(columns={"ci_low": "share_low", "ci_high": "share_high"})
    x, left, right = axes
    figure = curves_figure(
        table, x, left, "layer", labels={}, y2=right, single=tables.chains, along=along
    )
    write_figure(figure, settings.results / "figures" / name)


def draw_chain_dots(
    settings: Settings, tables: ChainTables, name: str, by: Sequence[str], value: str, axis: str
) -> None:
    """Draw a column's mean with its interval as a line for each row, each chain as a dot.

    Parameters
    ----------
    by
        Columns that tell the rows; the last one is the group.
    value
        Column with the mean; its ends are NAME_low and NAME_high.
    axis
        Label of the values.
    """
    single = {key: list(some[value]) for key, some in tables.chains.groupby(list(by))}
    rows = []
    for row in tables.table.to_dict("records"):
        key = tuple(row[name] for name in by)
        rows.append(
            DotRow(
                "  ".join(map(str, key[:-1])),
                row[value],
                row[f"{value}_low"],
                row[f"{value}_high"],
                single[key],
                group=str(key[-1]),
            )
        )
    write_figure(dots_figure(rows, axis), settings.results / "figures" / name)
