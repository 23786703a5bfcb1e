"""Collect the claims of all papers with their verdicts, from the tables that test them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from kc.plans.records.claims import Claims
from kc.provenance import code_hash, plain, versions
from kc.report.tables import Column, TableText, read_table, write_table
from kc.settings.whole import Settings
from kc.store.files import file_digest
from kc.studies.verdicts import CLAIMS, EXPLAINED, WORDS

KEYS = ["source", "claim", "unit", "case"]
NUMBERS = ["effect", "ci_low", "ci_high", "n", "smallest"]
COLUMNS: Mapping[str, Column] = MappingProxyType(
    {
        "source": Column("paper"),
        "unit": Column("effect in"),
        "cases": Column("cases"),
        "effect": Column("effect", "+.3g"),
        "ci_low": Column("", "+.3g"),
        "smallest": Column("smallest that would be seen"),
    }
)
TEXTS: Mapping[str, tuple[str, str, tuple[str, ...]]] = MappingProxyType(
    {
        "claims": (
            "What the papers claim",
            "In how many cases (networks and layers) each claim shows; the cases are in "
            "claims_cases.",
            (
                EXPLAINED,
                "Each case is judged by itself: without any effect one case in forty shows, and "
                "one in forty does not.",
            ),
        ),
        "claims_cases": (
            "Claims by case",
            "The effect that tests each claim; above 0 if the claim holds.",
            (EXPLAINED,),
        ),
    }
)
"""Title, caption and notes of each table."""


def read_claims(tables: Sequence[Path]) -> pd.DataFrame:
    """Read the claims of tables that a study wrote.

    Parameters
    ----------
    tables
        Paths without suffix; those that test no claim are left out.

    Returns
    -------
    DataFrame
        One row for each claim and case: source, claim, unit, case, effect (above 0 if the claim
        holds), ci_low, ci_high, n, smallest (effect that would have been seen), verdict, table.

    Raises
    ------
    StoreError
        A table is missing or damaged.
    """
    rows: list[dict[str, Any]] = []
    for stem in tables:
        rows += [{"table": stem.name, **row} for row in read_table(stem).get(CLAIMS, [])]
    frame = pd.DataFrame(rows, columns=[*KEYS, *NUMBERS, "verdict", "table"])
    return frame.astype(dict.fromkeys(["effect", "ci_low", "ci_high", "smallest"], float))


def counted(cases: pd.DataFrame) -> pd.DataFrame:
    """Count the verdicts of each claim. Columns: source, claim, unit, cases, those of WORDS."""
    rows = []
    for key, some in cases.groupby(KEYS[:-1], sort=False):
        counts = {word: int((some["verdict"] == word).sum()) for word in WORDS.values()}
        rows.append(dict(zip(KEYS[:-1], key, strict=True)) | {"cases": len(some)} | counts)
    return pd.DataFrame(rows, columns=[*KEYS[:-1], "cases", *WORDS.values()])


def beside(cases: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Compare the claims of two runs, e.g. with other seeds.

    Returns
    -------
    DataFrame
        One row for each claim and case of both: source, claim, case, effect, ci_low, ci_high,
        verdict, other_effect, other_low, other_high, other_verdict, overlap (whether the
        intervals have a number in common; missing without intervals), turned (whether the
        verdicts differ).
    """
    both = cases.merge(others, on=KEYS, suffixes=("", "_other"), sort=False)
    low = both[["ci_low", "ci_low_other"]].max(axis=1, skipna=False)
    high = both[["ci_high", "ci_high_other"]].min(axis=1, skipna=False)
    overlap = (low <= high).astype(object).mask(low.isna() | high.isna())
    names = {"effect_other": "other_effect", "ci_low_other": "other_low"}
    names |= {"ci_high_other": "other_high", "verdict_other": "other_verdict"}
    shown = ["source", "claim", "case", "effect", "ci_low", "ci_high", "verdict", *names.values()]
    both = both.rename(columns=names)
    turned = both["verdict"] != both["other_verdict"]
    return both[shown].assign(overlap=overlap, turned=turned)


def write(settings: Settings) -> None:
    """Write ``tables/claims`` and ``tables/claims_cases`` under the results folder.

    Raises
    ------
    StoreError
        A table is missing or damaged.
    """
    folder = settings.results / "tables"
    stems = [folder / name for name in settings.of(Claims).tables]
    cases = read_claims(stems)
    about = {
        **{"study": "claims", "settings": plain(settings), "code": code_hash("kc.studies.claims")},
        **{"versions": versions(), "networks": {}},
        "tables": {stem.name: file_digest(stem.with_suffix(".json")) for stem in stems},
    }
    for name, frame in (("claims", counted(cases)), ("claims_cases", cases)):
        title, caption, notes = TEXTS[name]
        text = TableText(title, caption, notes)
        told = {CLAIMS: cases.to_dict("records")} if frame is cases else {}
        write_table(frame, folder / name, text, provenance=about | told, columns=COLUMNS)
