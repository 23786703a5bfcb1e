"""Show how far work is and how long it will take: a bar on a terminal, elsewhere lines.

Without a terminal (in a batch job, a notebook, a pipe) a line is written every half minute: to the
log of kc if it takes messages, else to standard error.
"""

import logging
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

LOG = logging.getLogger("kc")
AFTER = 10.0
"""Seconds without a bar: short work has none."""
EVERY = 30.0
"""Seconds between two lines."""
LINE = "{desc}: {percentage:.0f} % after {elapsed}, about {remaining} left"


def progress_bar(
    items: Iterable[Any] | None = None,
    *,
    desc: str = "",
    unit: str = "it",
    total: int | float | None = None,
    **about: Any,
) -> Any:
    """Return a bar of tqdm, over ``items`` or updated by hand.

    None is shown if kc's log hides warnings (``-q``). ``about``: further arguments of tqdm, for
    the bar on a terminal.
    """
    make: Any = tqdm
    shared = {"desc": desc, "total": total, "unit": unit, "leave": False}
    if not LOG.isEnabledFor(logging.WARNING):
        bar = make(items, **shared, disable=True)
    elif sys.stderr.isatty():
        bar = make(items, **shared, delay=AFTER, **about)
    else:
        slow = {"delay": EVERY, "mininterval": EVERY, "maxinterval": EVERY}
        bar = make(items, **shared, **slow, file=_Lines(), bar_format=LINE)
    return bar


class _Lines:
    """What a bar writes to: each of its states becomes a line."""

    def write(self, text: str) -> None:
        """Write a state; what only moves the cursor is left out."""
        line = text.strip()
        if line and LOG.isEnabledFor(logging.INFO) and LOG.hasHandlers():
            LOG.info(line)
        elif line:
            sys.stderr.write(f"{line}\n")

    def flush(self) -> None:
        """Show what was written."""
        sys.stderr.flush()
