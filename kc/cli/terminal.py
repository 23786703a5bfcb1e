"""Print so that no name or message can control a terminal: texts, JSON, tables; more or less."""

import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from kc.errors import PlainFormatter, printable
from kc.provenance import plain

if TYPE_CHECKING:
    from rich.console import Console

_FORMAT = warnings.formatwarning
MOST_ROWS = 20
"""Rows of a table that are shown; its files have all."""


def echo(message: Any = "", err: bool = False, nl: bool = True) -> None:
    """Print a text; control characters except tabs and line ends are escaped."""
    typer.echo(printable(str(message), keep="\n\t"), err=err, nl=nl)


def echo_json(value: Any) -> None:
    """Print a value as JSON in ASCII, without secrets."""
    echo(json.dumps(plain(value), indent=1))


def console() -> "Console":
    """Return a console for tables and trees; what is piped is not wrapped."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 1 << 12
    return Console(highlight=False, markup=False, emoji=False, width=width)


def show_table(shown: Mapping[str, Any], whole: Path) -> None:
    """Print a table no wider than the terminal, and its warnings.

    ``shown``: its cells (:func:`kc.report.tables.table_cells`); ``whole``: file with all of it.
    """
    from rich.table import Table

    out = console()
    cells = shown["rows"][:MOST_ROWS]
    widths = [
        max(len(word) for word in [*head.split(), "", *(row[place] for row in cells)])
        for place, head in enumerate(shown["heads"])
    ]
    # each column has a space on both sides
    fits = [place for place in range(len(widths)) if sum(widths[: place + 1]) + 2 * place + 2
            <= out.width]  # fmt: skip
    table = Table(box=None, padding=(0, 1))
    for place in fits:
        table.add_column(
            printable(shown["heads"][place]), justify=shown["sides"][place], min_width=widths[place]
        )
    for row in cells:
        table.add_row(*(printable(row[place]) for place in fits))
    out.print(table)
    left = len(shown["rows"]) - len(cells)
    more = [f"{left} more rows"] if left else []
    more += [", ".join(shown["heads"][len(fits) :])] if len(fits) < len(widths) else []
    if more:
        echo(f"not shown, in {whole}: {'; '.join(more)}")
    for note in shown["notes"]:
        if note.startswith("Warning"):
            echo(note)


@contextmanager
def loudness(quiet: bool, verbose: bool) -> Iterator[None]:
    """Show less or more of kc's log on standard error, and progress only if not ``quiet``."""
    log = logging.getLogger("kc")
    before, handler = log.level, logging.StreamHandler()
    if quiet:
        log.setLevel(logging.ERROR)
    elif verbose:
        handler.setFormatter(PlainFormatter("%(name)s: %(message)s"))
        log.setLevel(logging.INFO)
        log.addHandler(handler)
    try:
        yield
    finally:
        log.setLevel(before)
        log.removeHandler(handler)


def prepare() -> None:
    """Make output and warnings safe for any name, in any locale."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(PlainFormatter())
    warnings.formatwarning = _warned


def _warned(*given: Any, **named: Any) -> str:
    """Format a warning safely: libraries repeat names in them."""
    return printable(_FORMAT(*given, **named), keep="\n\t")


def silence() -> None:
    """Discard all further output: nobody reads it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed, or no file
            os.dup2(nowhere, stream.fileno())
