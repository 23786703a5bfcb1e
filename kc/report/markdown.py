"""A written table's Markdown as the parts of a page: headings and numbers as they were written."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

from kc.errors import StoreError
from kc.plans.commands import fix_at
from kc.report.tables import check_table, read_markdown


class WrittenTable(NamedTuple):
    """What :func:`kc.report.tables.write_table` wrote, to be shown."""

    title: str
    table: str
    """HTML, what is written in it escaped; columns of printed values have the class ``paper``."""
    caption: str
    notes: tuple[str, ...]


def read_table(stem: Path) -> WrittenTable:
    """Read a written table's ``.md``.

    Raises
    ------
    StoreError
        A file of the table is missing or not the one written, or the text is not a title, a table,
        a caption and notes.
    """
    try:
        text = read_markdown(stem)
    except FileNotFoundError:
        file = stem.with_suffix(".md")
        raise StoreError(f"{file}: no such file. Fix: {fix_at(file)}") from None
    # stars and underscores are the formulas' own: no emphasis
    reader = MarkdownIt("zero").enable(["heading", "table", "list", "escape", "entity"])
    tokens = reader.parse(text)
    kinds = [token.type for token in tokens]
    if kinds[:1] != ["heading_open"] or kinds.count("table_open") != 1:
        file = stem.with_suffix(".md")
        raise StoreError(
            f"{file}: expected a title and one table, as write_table writes them. "
            f"Fix: {fix_at(file)}"
        )
    check_table(stem)
    begin, end = kinds.index("table_open"), kinds.index("table_close") + 1
    table = tokens[begin:end]
    _align(table)
    _mark_printed(table)
    after = tokens[end:]
    items = [_listed(after, place) for place, token in enumerate(after) if token.type == "inline"]
    return WrittenTable(
        _plain(tokens[1]),
        reader.renderer.render(table, reader.options, {}),
        " ".join(content for content, listed in items if not listed),
        tuple(content for content, listed in items if listed),
    )


def _listed(tokens: Sequence[Token], place: int) -> tuple[str, bool]:
    """Return a text and whether it is an item of a list."""
    return _plain(tokens[place]), tokens[place].level > 1


def _plain(token: Token) -> str:
    """Return the words of a line, without the escapes they were written with."""
    return "".join(child.content for child in token.children or [])


def _align(table: Sequence[Token]) -> None:
    """Set columns by a class: the page's policy allows no styles of elements' own."""
    for token in table:
        if (style := str(token.attrs.pop("style", ""))).startswith("text-align:"):
            token.attrJoin("class", style.removeprefix("text-align:"))


def _mark_printed(table: Sequence[Token]) -> None:
    """Set a class of their own on heads and cells of columns of printed values."""
    column, printed = 0, set()
    for token, inner in pairwise(table):
        if token.type == "tr_open":
            column = 0
        elif token.type in ("th_open", "td_open"):
            if token.type == "th_open" and inner.content.startswith("paper"):
                printed.add(column)
            if column in printed:
                token.attrJoin("class", "paper")
            column += 1
