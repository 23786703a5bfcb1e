"""``kc claims``: whether two runs say the same of the papers' claims."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from kc.cli.terminal import echo


def claims_command(
    results: Annotated[Path, typer.Argument(help="results folder of a run")],
    other: Annotated[Path, typer.Argument(help="that of another run, e.g. with other seeds")],
) -> None:
    """Compare two runs' verdicts on the papers' claims: which turned, and do intervals overlap?

    Each run alone: tables/claims.md and claims_cases.md in its results folder. Exit with 1 if a
    verdict turned or two intervals do not overlap.
    """
    from kc.studies.claims import beside, read_claims

    runs = [read_claims([folder / "tables" / "claims_cases"]) for folder in (results, other)]
    both = beside(*runs)
    for row in both.to_dict("records"):
        echo(f"{row['source']} {row['claim']}, {row['case']}:")
        turned = " (turned)" if row["turned"] else ""
        apart = "; the intervals do not overlap" if row["overlap"] is False else ""
        echo(f"  {row['verdict']}: {_effect(row, 'effect', 'ci_low', 'ci_high')}")
        ends = _effect(row, "other_effect", "other_low", "other_high")
        echo(f"  {row['other_verdict']}{turned}: {ends}{apart}")
    known = both["overlap"].dropna()
    echo(
        f"{len(both)} cases of both runs; verdicts that turned: {int(both['turned'].sum())}; "
        f"intervals that overlap: {int(known.sum())} of {len(known)}"
    )
    if both["turned"].any() or not known.all():
        raise typer.Exit(1)


def _effect(row: dict[Any, Any], mean: str, low: str, high: str) -> str:
    if math.isnan(row[low]):
        return f"{row[mean]:+.3g}"
    return f"{row[mean]:+.3g} [{row[low]:+.3g}, {row[high]:+.3g}]"
