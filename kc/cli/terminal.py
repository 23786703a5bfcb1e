"""Print to the terminal so that no name or message can control it."""

import logging
import os
import sys
import warnings
from contextlib import suppress
from typing import Any

import typer

from kc.errors import PlainFormatter, printable

_FORMAT = warnings.formatwarning


def echo(message: Any = "", err: bool = False, nl: bool = True) -> None:
    """Print a text; control characters except tabs and line ends are escaped."""
    typer.echo(printable(str(message), keep="\n\t"), err=err, nl=nl)


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
