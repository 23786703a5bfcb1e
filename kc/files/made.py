"""Where notes of what was made in a results folder are kept, and since when."""

from pathlib import Path

from kc.files.aside import writing

MADE = "kc-made"
"""Folder, in a results folder, of the notes (:mod:`kc.store.register`)."""
_BEFORE = frozenset({MADE, "logs", "sources"})
"""Folders that are there before the first product."""


def begin_register(base: Path) -> None:
    """Keep notes in a results folder from now on, unless products are there without any.

    Raises
    ------
    StoreError
        The disk does not take it.
    """
    there = {path.name for path in base.iterdir() if path.is_dir()} if base.is_dir() else set()
    if there <= _BEFORE:
        with writing(base / MADE):
            (base / MADE).mkdir(parents=True, exist_ok=True)
