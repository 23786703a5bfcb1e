"""A frame as ``.csv`` (full precision), ``.md`` and ``.tex`` (to read) and ``.json`` (its origin).

The first three hold no path, time or machine, so that the same seed gives the same bytes; these
are in the fourth. Names in a table (of classes, files, layers) come from outside: they are shown
as text wherever the table is opened.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd
import xxhash
from pandas.api.types import is_numeric_dtype
from tabulate import tabulate

from kc.errors import StoreError, printable
from kc.plans.commands import fix_at
from kc.store.files import file_digest, read_json, spell_json, write_bytes_atomic
from kc.store.register import note_made

INTERVAL = ("ci_low", "ci_high")
"""Columns that are shown as one interval."""
TOGETHER = "95 % interval"
"""Header of that interval."""
# a text that a spreadsheet would run, also after apostrophes
_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff0b\uff0d\uff1d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
FORMULAS = (
    "Some names have an apostrophe before them in the csv, where a spreadsheet would take them for "
    r"a formula, or \r for the end of a line; names_in_csv in the json file has the original "
    "names."
)
"""Note of a table in which names were changed."""
# characters that begin a tag, an entity, an escape or a link in Markdown or HTML
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])|&(?=#?\w+;)|\\(?=[!-/:-@\[-`{-~]|$)|\](?=[(\[])")
# in a cell also characters that change the style or end the cell; not underscores inside words
_STYLING = re.compile(_MARKUP.pattern + r"|[|`*~$]|(?<![^\W_])_|_(?![^\W_])")
_ENTITIES = {"<": "&lt;", "&": "&amp;"}
ANY_TEXT = pd.option_context("mode.string_storage", "python")
"""Names of files may hold bytes that are no text, which strings of Arrow refuse, where pyarrow is
installed."""


@dataclass(frozen=True)
class Column:
    """Header of a column, with the unit, and its number format."""

    header: str
    spec: str = ".3g"
    """Format of its numbers."""


class TableText(NamedTuple):
    """Title, caption and notes of a table."""

    title: str
    """Heading."""
    caption: str
    """What the table shows."""
    notes: Sequence[str]
    """Sentences under the table."""


@ANY_TEXT
def write_table(
    frame: pd.DataFrame,
    stem: Path,
    text: TableText,
    *,
    provenance: Mapping[str, Any],
    columns: Mapping[str, Column] = MappingProxyType({}),
) -> None:
    """Write ``stem``.csv, .md, .tex and .json, each atomically.

    Parameters
    ----------
    frame
        The rows of the table; ``ci_low`` and ``ci_high`` are shown as one interval.
    stem
        Path without suffix; its folder is created.
    text
        Heading, caption and notes.
    provenance
        What the numbers were made from, as JSON values; numbers that are not finite become null.
        Three keys are added: ``files``, the digests of the other files; ``shown``, the contents
        for a page; ``names_in_csv``, the original of each text that is changed in the .csv.
    columns
        Header and number format by column; other columns keep their name and have three digits.
    """
    readable, sides = _laid_out(frame, columns)
    names = {_harmless(name): name for name in _texts(frame) if _harmless(name) != name}
    if names:
        text = text._replace(notes=[*text.notes, FORMULAS])
        frame = frame.map(_harmless).rename(columns=_harmless)
    _write(stem.with_suffix(".csv"), frame.to_csv(index=False, lineterminator="\n"))
    _write(stem.with_suffix(".md"), _markdown(readable, sides, text))
    _write(stem.with_suffix(".tex"), _latex(readable, sides, text, stem.name))
    files = {suffix: file_digest(stem.with_suffix(suffix)) for suffix in (".csv", ".md", ".tex")}
    about = dict(provenance) | ({"names_in_csv": names} if names else {})
    about |= {"files": files, "shown": _shown(readable, sides, text)}
    origin, content = stem.with_suffix(".json"), spell_json(_finite(about))
    noted = {f"{stem.name}{suffix}": digest for suffix, digest in files.items()}
    note_made(origin, {"files": noted | {origin.name: xxhash.xxh3_128_hexdigest(content)}})
    write_bytes_atomic(origin, content)


@ANY_TEXT
def table_cells(
    frame: pd.DataFrame, text: TableText, columns: Mapping[str, Column]
) -> dict[str, Any]:
    """Return headers, cells, title, caption and notes as plain text, as a page shows them."""
    return _shown(*_laid_out(frame, columns), text)


def _laid_out(frame: pd.DataFrame, columns: Mapping[str, Column]) -> tuple[pd.DataFrame, list[str]]:
    """Format the columns that have values; the csv keeps the others. Return their alignment too."""
    told = frame if frame.empty else frame.dropna(axis="columns", how="all")
    return _readable(told, columns), _sides(told)


def read_table(stem: Path) -> dict[str, Any]:
    """Read a table's ``.json``, after checking that the other files are those that were written.

    Raises
    ------
    StoreError
        A file is missing, its digest is not the one in the ``.json``, or that is not a table's.
    """
    origin = stem.with_suffix(".json")
    if not origin.is_file():
        raise StoreError(f"{origin}: no such file. Fix: {fix_at(origin)}")
    content: dict[str, Any] = read_json(origin)
    if not {"files", "shown"} <= set(content):
        raise StoreError(
            f"{origin}: expected the digests and cells of a table, as write_table writes them. "
            f"Fix: {fix_at(origin)}"
        )
    for suffix, digest in content["files"].items():
        file = stem.with_suffix(suffix)
        if not file.is_file():
            raise StoreError(f"{file}: no such file. Fix: {fix_at(file)}")
        if file_digest(file) != digest:
            raise StoreError(
                f"{file}: not the file that was written: its digest is not the one in "
                f"{origin.name}. Fix: {fix_at(file)}"
            )
    return content


def _readable(frame: pd.DataFrame, columns: Mapping[str, Column]) -> pd.DataFrame:
    """Format every cell as text; NaN becomes an empty cell."""
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
    """Return the alignment of each column: numbers right, words left; an interval is one column."""
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


def _texts(frame: pd.DataFrame) -> list[str]:
    """List the texts of a table, including headers."""
    cells = [*frame.columns, *frame.to_numpy(dtype=object).ravel()]
    return [cell for cell in cells if isinstance(cell, str)]


def _harmless(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would run; leave numbers.

    Python's csv does not quote a single carriage return, which would end the row.
    """
    if not isinstance(value, str):
        return value
    is_formula = _FORMULA.match(value) and not _NUMBER.fullmatch(value)
    return (f"'{value}" if is_formula else value).replace("\r", r"\r")


def _finite(value: Any) -> Any:
    """Replace NaN and infinity, which JSON lacks, by None."""
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _literal(text: str, marks: re.Pattern[str] = _MARKUP) -> str:
    """Escape a text so that Markdown shows it literally, on one line."""
    return marks.sub(lambda m: _ENTITIES.get(m[0], f"\\{m[0]}"), printable(text))


def _shown(readable: pd.DataFrame, sides: list[str], text: TableText) -> dict[str, Any]:
    """Return what a page shows of a table, as plain text."""
    return {
        "title": printable(text.title),
        "heads": [printable(head) for head in readable.columns],
        "sides": sides,
        "rows": readable.map(printable).to_numpy().tolist(),
        "caption": printable(text.caption),
        "notes": [printable(note) for note in text.notes],
    }


def _markdown(readable: pd.DataFrame, sides: list[str], text: TableText) -> str:
    cells = [[_literal(cell, _STYLING) for cell in row] for row in readable.to_numpy().tolist()]
    table = tabulate(
        cells,
        # headers are ours; their stars belong to formulas
        headers=[_literal(head).replace("|", r"\|") for head in readable.columns],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=sides,
    )
    notes = "\n".join(f"- {_literal(note)}" for note in text.notes)
    blocks = [f"### {_literal(text.title)}", table, _literal(text.caption), notes]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _latex(readable: pd.DataFrame, sides: list[str], text: TableText, label: str) -> str:
    """Format the table with booktabs, no wider than the page, followed by a list of the notes."""
    cells = readable.map(_escape)
    # after the end of a row, LaTeX would read these two as an argument of it
    for first in cells.columns[:1]:
        cells[first] = cells[first].replace(r"^([\[*])", r"{\1}", regex=True)
    styler = cells.rename(columns=_escape).style.hide(axis="index")
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
    """Escape a sentence so that LaTeX prints it literally."""
    special = {character: rf"\{character}" for character in "&%$#_{}"}
    special |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
    return "".join(special.get(character, character) for character in printable(text))


def _write(path: Path, text: str) -> None:
    # names of files that are not UTF-8 hold single surrogates
    write_bytes_atomic(path, text.encode(errors="backslashreplace"))
