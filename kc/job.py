"""What every script of the workflow does first and what it does with an error of the user's."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from kc.errors import KCError


@contextmanager
def job() -> Iterator[None]:
    """Fix threads; show a user's error as one message instead of a traceback."""
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    from kc.runtime import use_threads

    use_threads(1)
    try:
        yield
    except KCError as error:
        sys.exit(f"\n{type(error).__name__}: {error}\n")
