"""A frame as ``.csv`` (full precision), ``.md`` and ``.tex`` (to read) and ``.json`` (its origin).

The first three hold no path, clock or machine, so that the same seed gives the same bytes; all
that lies in the fourth.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd
from pandas.api.types import is_numeric_dtype
from tabulate import tabulate

from kc.store.files import file_digest, write_bytes_atomic, write_json_atomic

INTERVAL = ("ci_low", "ci_high")
"""Columns that are read together, as one interval."""
TOGETHER = "95 % interval"
"""Header of these."""


@dataclass(frozen=True)
class Column:
    """How a column is read: its header, with the unit, and its digits."""

    header: str
    spec: str = ".3g"
    """Format of a number."""


class TableText(NamedTuple):
    """What surrounds a table's numbers."""

    title: str
    """Heading."""
    caption: str
    """What the table shows."""
    notes: Sequence[str]
    """One sentence each, under it."""


def write_table(
    frame: pd.DataFrame,
    stem: Path,
    text: TableText,
    *,
    provenance: Mapping[str, Any],
    columns: Mapping[str, Column] = MappingProxyType({}),
) -> None:
    """Write ``stem``.csv, .md, .tex and .json, each whole or not at all.

    Parameters
    ----------
    frame
        One row a row of the table; ``ci_low`` and ``ci_high`` are read as one interval.
    stem
        Path without suffix; its folder is made.
    text
        Heading, caption and notes.
    provenance
        What the numbers were made from; anything JSON can hold. Digests of the three files are
        added, so that an edited table is known from the one that was written.
    columns
        Header and digits by column; what is not named keeps its name and has three digits.
    """
    # a column without a value is for who computes, not for who reads
    told = frame if frame.empty else frame.dropna(axis="columns", how="all")
    readable, sides = _readable(told, columns), _sides(told)
    _write(stem.with_suffix(".csv"), frame.to_csv(index=False, lineterminator="\n"))
    _write(stem.with_suffix(".md"), _markdown(readable, sides, text))
    _write(stem.with_suffix(".tex"), _latex(readable, sides, text, stem.name))
    files = {suffix: file_digest(stem.with_suffix(suffix)) for suffix in (".csv", ".md", ".tex")}
    write_json_atomic(stem.with_suffix(".json"), dict(provenance) | {"files": files})


def read_markdown(stem: Path) -> str:
    """Give a written table's Markdown, to be printed."""
    return stem.with_suffix(".md").read_text(encoding="utf-8")


def _readable(frame: pd.DataFrame, columns: Mapping[str, Column]) -> pd.DataFrame:
    """Turn every cell into text; unknown numbers are empty cells."""
    shown: dict[str, list[str]] = {}
    for name in map(str, frame.columns):
        column = columns.get(name, Column(name))
        if name == INTERVAL[0]:
            ends = zip(frame[INTERVAL[0]], frame[INTERVAL[1]], strict=True)
            shown[TOGETHER] = [_interval(low, high, column.spec) for low, high in ends]
        elif name != INTERVAL[1]:
            shown[column.header] = [_cell(value, column.spec) for value in frame[name]]
    return pd.DataFrame(shown)


def _sides(frame: pd.DataFrame) -> list[str]:
    """Set numbers flush right, words flush left; the two ends of an interval are one column."""
    return [
        "right" if is_numeric_dtype(frame[name]) else "left"
        for name in map(str, frame.columns)
        if name != INTERVAL[1]
    ]


def _interval(low: float, high: float, spec: str) -> str:
    return "" if math.isnan(low) else f"[{low:{spec}}, {high:{spec}}]"


def _cell(value: object, spec: str) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:{spec}}"
    return str(value)


def _markdown(readable: pd.DataFrame, sides: list[str], text: TableText) -> str:
    escaped = [[cell.replace("|", r"\|") for cell in row] for row in readable.to_numpy().tolist()]
    table = tabulate(
        escaped,
        headers=list(readable.columns),
        tablefmt="pipe",
        disable_numparse=True,
        colalign=sides,
    )
    notes = "\n".join(f"- {note}" for note in text.notes)
    blocks = [f"### {text.title}", table, text.caption, notes]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _latex(readable: pd.DataFrame, sides: list[str], text: TableText, label: str) -> str:
    """Set the table with booktabs, no wider than the page; the notes follow it as a list."""
    styler = readable.style.hide(axis="index").format(escape="latex")
    styler = styler.format_index(escape="latex", axis=1)
    letters = "".join(side[0] for side in sides)
    tabular = styler.to_latex(hrules=True, column_format=letters).rstrip()
    notes = [rf"\item{{}} {_escape(note)}" for note in text.notes]
    lines = [
        "% needs booktabs and adjustbox",
        r"\begin{table}[tbp]",
        r"\centering",
        rf"\caption{{{_escape(f'{text.title}. {text.caption}'.strip())}}}",
        rf"\label{{tab:{label}}}",
        r"\begin{adjustbox}{max width=\textwidth, max totalheight=0.8\textheight}",
        tabular,
        r"\end{adjustbox}",
        r"\end{table}",
        *([r"\begin{itemize}\footnotesize", *notes, r"\end{itemize}"] if notes else []),
    ]
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    """Spell a sentence so that LaTeX prints it as it is."""
    special = {character: rf"\{character}" for character in "&%$#_{}"}
    special |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {"<": r"\textless{}", ">": r"\textgreater{}"}
    return "".join(special.get(character, character) for character in text)


def _write(path: Path, text: str) -> None:
    write_bytes_atomic(path, text.encode())
