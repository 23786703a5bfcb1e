"""What reaches the terminal: nothing in a name or a message can steer it."""

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
    """Print a text; control characters in it but tabs and ends of lines are spelled out."""
    typer.echo(printable(str(message), keep="\n\t"), err=err, nl=nl)


def prepare() -> None:
    """Make standard output and warnings safe to print any name to, whatever the locale."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(PlainFormatter())
    warnings.formatwarning = _warned


def _warned(*given: Any, **named: Any) -> str:
    """Format a warning: libraries repeat names in them."""
    return printable(_FORMAT(*given, **named), keep="\n\t")


def silence() -> None:
    """Let what is still to be printed go nowhere: nobody reads on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed, or no file
            os.dup2(nowhere, stream.fileno())
